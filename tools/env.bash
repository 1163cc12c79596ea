# Source this in bash or zsh to use what `make setup` made, from any directory:
#
#     source tools/env.bash
#
# It puts `ros2`, the package and its Python environment on the paths of the shell. Communication
# stays on this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE says otherwise before or after.

if [ -n "${BASH_SOURCE:-}" ]; then
  _wm_mpc_root=${BASH_SOURCE[0]}
elif [ -n "${ZSH_VERSION:-}" ]; then
  _wm_mpc_root=${(%):-%x}
else
  echo "tools/env.bash: this shell is neither bash nor zsh" >&2
  return 1
fi
_wm_mpc_root=$(CDPATH= cd -- "$(dirname -- "$_wm_mpc_root")/.." && pwd -P)

if [ ! -x "$_wm_mpc_root/.venv/bin/python" ] || [ ! -f "$_wm_mpc_root/install/setup.bash" ]; then
  echo "wm_mpc is not set up yet. Run: make -C '$_wm_mpc_root' setup" >&2
  unset _wm_mpc_root
  return 1
fi

# The scripts of venv and colcon expect neither -e nor -u.
_wm_mpc_options=$-
set +e +u

if [ "${VIRTUAL_ENV:-}" != "$_wm_mpc_root/.venv" ]; then
  . "$_wm_mpc_root/.venv/bin/activate"
fi
# Left behind by another Python environment with ROS 2 from PyPI, it would hide this one's libraries.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
if [ -n "${ZSH_VERSION:-}" ]; then
  . "$_wm_mpc_root/install/setup.zsh"
else
  . "$_wm_mpc_root/install/setup.bash"
fi
# ROS 2 from PyPI is a prefix of its own.
if [ -f "$_wm_mpc_root/.venv/share/ament_index/resource_index/packages/rclpy" ]; then
  case ":${AMENT_PREFIX_PATH:-}:" in
    *":$_wm_mpc_root/.venv:"*) ;;
    *) export AMENT_PREFIX_PATH="${AMENT_PREFIX_PATH:+$AMENT_PREFIX_PATH:}$_wm_mpc_root/.venv" ;;
  esac
fi
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"

case $_wm_mpc_options in *u*) set -u ;; esac
case $_wm_mpc_options in *e*) set -e ;; esac
unset _wm_mpc_root _wm_mpc_options
