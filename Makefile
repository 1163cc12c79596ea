# Everything a person does with this repository. Each target sets up first, which takes a fraction
# of a second once it is done.

.DEFAULT_GOAL := help
targets := help setup sim collect train ablate evaluate benchmark faults soak test test-all lint format docs clean
.PHONY: $(targets)
SHELL := bash
ARGS ?=

# `make sim task:=wall` would set a variable that nothing reads, and run another task. Such words
# belong into ARGS: `task:=wall` for the launch file, `--task wall` for programs.
known = ARGS PYTHON ROS PIP_ARGS SHELL
# A makefile that calls this one hands on its own variables.
given := $(if $(filter 0,$(MAKELEVEL)),$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
foreign := $(filter-out $(known),$(given))
upper := $(if $(foreign),$(shell echo '$(foreign)' | grep -o '\<[A-Z0-9_]*\>'))
lower := $(filter-out $(upper),$(foreign))
as_word = $(if $(filter sim,$(MAKECMDGOALS)),$1:=$(value $1),--$(subst _,-,$1) $(value $1))
ifneq ($(lower),)
$(error $(firstword $(lower)) is no variable of this Makefile; write \
ARGS="$(strip $(ARGS) $(foreach name,$(lower),$(call as_word,$(name))))")
endif
ifneq ($(upper),)
$(error $(firstword $(upper)) is no variable of this Makefile; for the environment, write \
$(foreach name,$(upper),$(name)=$(value $(name))) make $(MAKECMDGOALS))
endif
# `make train wall` would first train for hours.
ifneq ($(filter-out $(targets),$(MAKECMDGOALS)),)
$(error $(firstword $(filter-out $(targets),$(MAKECMDGOALS))) is no target of this Makefile; words \
for a program go into ARGS="...")
endif

# exec leaves nothing between make and the program: Ctrl-C reaches it, and make waits for it.
run = @echo "[$@] $(strip $(1))"; source tools/env.bash && exec $(1)

help: ## Show this list
	@echo "make <target> [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Prepare .venv and build the package (PYTHON=... picks the interpreter, ROS=kilted another ROS 2, PIP_ARGS=... goes to pip)
	@python3 tools/bootstrap.py

# A person at a terminal who runs it without an end sees it in the browser, unless ARGS says
# `viewer:=false`.
sim: setup ## Run the simulation with its controller: make sim ARGS="task:=wall episodes:=5"
	@more=; if [ -t 1 ]; then case " $(ARGS) " in \
		*" viewer:="*) ;; *" episodes:=0 "*) more=viewer:=true ;; *" episodes:="*) ;; *) more=viewer:=true ;; esac; fi; \
	echo "[sim] ros2 launch wm_mpc sim.launch.py $$more $(ARGS)"; source tools/env.bash; \
	exec ros2 launch wm_mpc sim.launch.py $$more $(ARGS)

collect: setup ## Collect episodes in simulation (ARGS="--help" lists the options)
	$(call run, ros2 run wm_mpc collect $(ARGS))

train: setup ## Train a world model
	$(call run, ros2 run wm_mpc train $(ARGS))

ablate: setup ## Train the variants that evaluate compares
	$(call run, ros2 run wm_mpc ablate $(ARGS))

evaluate: setup ## Measure success and planning time
	$(call run, ros2 run wm_mpc evaluate $(ARGS))

benchmark: setup ## Measure planning speed (ARGS="--quick": within ten minutes)
	$(call run, ros2 run wm_mpc benchmark $(ARGS))

faults: setup ## Break what may break around the running nodes, and look (some 5 minutes)
	$(call run, ros2 run wm_mpc faults $(ARGS))

soak: setup ## Half an hour of work with changing goals and parameters: does anything grow?
	$(call run, ros2 run wm_mpc soak $(ARGS))

# In three parts (tools/run_tests.py), without those marked slow; or those that ARGS names.
ifeq ($(strip $(ARGS)),)
test: setup
	$(call run, python tools/run_tests.py)
else
test: setup ## Run all tests except the slow ones (some 8 minutes), or those of ARGS="test/planning -k cem"
	$(call run, python -m pytest $(ARGS))
endif

test-all: setup ## Run all tests, also the slow ones, as CI does
	$(call run, python tools/run_tests.py --all)

native = $(wildcard wm_mpc/native/*.cpp wm_mpc/native/*.h test/native/*.cpp)

lint: setup ## Check style, spelling and types
	@source tools/env.bash; failed=0; \
	for check in "ruff check ." "ruff format --check ." "codespell" \
		"clang-format --dry-run -Werror $(native)" "mypy"; do \
		echo "[lint] $$check"; $$check || failed=1; \
	done; exit $$failed

format: setup ## Put the sources into the common format
	@source tools/env.bash; set -x; ruff check --fix --exit-zero . && ruff format . && clang-format -i $(native)

# The tools for pages have an environment of their own, which nothing else waits for.
docs_tools = .venv-docs/made-of-$(shell cksum < tools/requirements-docs.txt | cut -d ' ' -f 1)

$(docs_tools):
	@echo "[docs] installing tools/requirements-docs.txt into .venv-docs"
	@rm -rf .venv-docs && .venv/bin/python -m venv .venv-docs
	@env -u PYTHONPATH .venv-docs/bin/python -m pip install -qq --disable-pip-version-check -r tools/requirements-docs.txt
	@touch $@

docs: setup $(docs_tools) ## Build the documentation into site/ (open site/index.html)
	@source tools/env.bash; python tools/update_docs.py --check || { \
		echo "[docs] run: python tools/update_docs.py" >&2; exit 1; }
	@NO_MKDOCS_2_WARNING=1 env -u PYTHONPATH .venv-docs/bin/python -m mkdocs build --strict
	@echo "[docs] built: site/index.html"

clean: ## Remove what was built; .venv, data and results stay
	rm -rf build install log site .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
