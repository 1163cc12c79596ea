"""Differences between the versions of Fast DDS, the default middleware."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def profiles_variable() -> str:
    """Return the environment variable that names a file of profiles.

    Version 3 (Kilted and later) uses another name than version 2, and warns about the old one.
    """
    try:
        libraries = Path(get_package_prefix("rmw_fastrtps_shared_cpp"), "lib")
    except PackageNotFoundError:
        return "FASTRTPS_DEFAULT_PROFILES_FILE"
    is_new = any(libraries.glob("libfastdds.so*"))
    return "FASTDDS_DEFAULT_PROFILES_FILE" if is_new else "FASTRTPS_DEFAULT_PROFILES_FILE"
