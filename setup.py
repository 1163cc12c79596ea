"""Where each part of wm_mpc goes when colcon (ament_python) or pip installs it."""

import re
import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.develop import develop

NAME = "wm_mpc"
EXECUTABLES = {
    "sim": "wm_mpc.nodes.sim.__main__:main",
    "mpc": "wm_mpc.nodes.mpc.__main__:main",
    "learner": "wm_mpc.nodes.learner.__main__:main",
    "viewer": "wm_mpc.nodes.viewer.__main__:main",
    "record": "wm_mpc.nodes.tools.record:main",
    "send_goal": "wm_mpc.nodes.tools.send_goal:main",
    "take_picture": "wm_mpc.nodes.tools.take_picture:main",
    "explore": "wm_mpc.nodes.tools.explore:main",
    "collect": "wm_mpc.cli.collect:main",
    "import_bag": "wm_mpc.cli.import_bag:main",
    "import_lerobot": "wm_mpc.cli.import_lerobot:main",
    "export_lerobot": "wm_mpc.cli.export_lerobot:main",
    "learn": "wm_mpc.cli.learn:main",
    "train": "wm_mpc.cli.train:main",
    "calibrate": "wm_mpc.cli.calibrate:main",
    "ablate": "wm_mpc.cli.ablate:main",
    "evaluate": "wm_mpc.cli.evaluate:main",
    "benchmark": "wm_mpc.cli.benchmark:main",
    "adapt": "wm_mpc.cli.adapt:main",
    "faults": "wm_mpc.cli.faults:main",
    "soak": "wm_mpc.cli.soak:main",
    "report": "wm_mpc.cli.report:main",
}

# Runs with the interpreter of the environment it is installed in: sh reads the first string as
# commands, Python as a string.
PIP_EXECUTABLE = """\
#!/bin/sh
''':'
python="$(dirname "$0")/../../bin/python3"
[ -x "$python" ] || python=python3
exec "$python" "$0" "$@"
'''
import sys

from {module} import {function}

sys.exit({function}())
"""


def version():
    text = Path(NAME, "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    assert found, "wm_mpc/__init__.py has no __version__"
    return found.group(1)


def pip_executables():
    """Write the executables as plain files and return their paths."""
    folder = Path("build", "pip_executables")
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in EXECUTABLES.items():
        module, function = target.split(":")
        path = folder / name
        path.write_text(PIP_EXECUTABLE.format(module=module, function=function), encoding="utf-8")
        path.chmod(0o755)
    return [str(folder / name) for name in EXECUTABLES]


def compile_kernel(work):
    """Compile the inner loop of planning now rather than at the first plan. An installation must
    not fail for want of a compiler: then planning says why it is slow."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    try:
        from wm_mpc.native import compiler, library

        work(compiler, library)
    except Exception as error:  # whatever it is: there is another way to plan
        print(f"{NAME}: the inner loop of planning is not compiled now: {error}", file=sys.stderr)
    finally:
        del sys.path[0]


class BuildWithKernel(build_py):
    """Puts the compiled inner loop beside its sources, where they are copied to."""

    kernel = None

    def run(self):
        super().run()
        if not getattr(self, "editable_mode", False):
            compile_kernel(self._compile)

    def _compile(self, compiler, library):
        folder = Path(self.build_lib, NAME, "native", library.INSTALLED.name)
        folder.mkdir(parents=True, exist_ok=True)
        kernel = folder / compiler.file_name()
        if not (kernel.is_file() and compiler.is_whole(kernel)):
            for outdated in folder.glob("*.so"):
                outdated.unlink()
            compiler.build(kernel)
        self.kernel = str(kernel)

    def get_outputs(self, include_bytecode=1):
        return super().get_outputs(include_bytecode) + ([self.kernel] if self.kernel else [])


class DevelopWithKernel(develop):
    """Links lead to the sources, which may change: the compiled inner loop goes into the cache."""

    def run(self):
        super().run()
        compile_kernel(lambda compiler, library: library.library())


data_files = [
    ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
    (f"share/{NAME}", ["package.xml"]),
    (f"share/{NAME}/launch", sorted(glob("launch/*.py"))),
    (f"share/{NAME}/config", sorted(path for path in glob("config/*") if Path(path).is_file())),
    (f"share/{NAME}/checkpoints", sorted(glob("checkpoints/*.safetensors"))),
]
console_scripts = [f"{name} = {target}" for name, target in EXECUTABLES.items()]

# colcon puts console scripts where setup.cfg says. pip would put them in bin/, which is no place
# for names as general as `train`: there they are files of lib/wm_mpc instead.
if {"bdist_wheel", "dist_info"} & set(sys.argv):
    data_files.append((f"lib/{NAME}", pip_executables()))
    console_scripts = []

setup(
    name=NAME,
    version=version(),
    description="Gradient-based model-predictive control through learned world models",
    license="Apache-2.0",
    maintainer="wm_mpc maintainers",
    maintainer_email="maintainers@wm-mpc.example",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.native": ["*.cpp", "*.h"], f"{NAME}.ros": ["parameters.json"]},
    data_files=data_files,
    python_requires=">=3.10",
    # Tried versions are in tools/requirements.txt. ROS 2's own packages are left to the machine.
    install_requires=[
        "setuptools",
        "h5py",
        "imageio",
        "lightning-fabric",
        "matplotlib",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "pybullet",
        "pyyaml",
        "rosbags",
        "safetensors",
        "tensorboard",
        "torch",
        "tqdm",
    ],
    extras_require={
        # Also what colcon looks for to run the tests with pytest.
        "test": ["hypothesis", "pytest", "pytest-rerunfailures", "pytest-timeout"],
        "lerobot": ["pyarrow", "av"],  # import_lerobot, export_lerobot
        "vit": ["transformers>=5"],  # a pretrained vision transformer as the encoder
        "ray": ["ray[client]"],  # simulators on a cluster
        # The worlds of tasks that somebody else wrote, just these versions. What stable-worldmodel
        # requires besides can be left out (docs/extend/environment.md).
        "worlds": [
            "dm-control==1.0.50",
            "gymnasium==1.4.0",
            "gymnasium-robotics==1.4.0",
            "loguru==0.7.3",
            "mujoco==3.17.0",
            "stable-worldmodel==0.1.1",
            "pygame==2.6.1",
            "pymunk==7.3.1",
            "shapely==2.2.0",
        ],
        # What `benchmark` compares with, just these versions, and what they import.
        "bench": [
            "stable-worldmodel==0.1.1",
            "pytorch-mppi==0.9.1",
            "opencv-python-headless",
            "imageio",
        ],
    },
    zip_safe=False,
    cmdclass={"build_py": BuildWithKernel, "develop": DevelopWithKernel},
    entry_points={"console_scripts": console_scripts},
)
