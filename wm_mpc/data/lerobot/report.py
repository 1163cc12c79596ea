"""The texts of `import_lerobot`: what it found in a dataset, and what does not fit together."""

from __future__ import annotations

from wm_mpc.data.lerobot.layout import LeRobotFolder


def found(folder: LeRobotFolder) -> str:
    """List the features and tasks of a dataset.

    Args:
        folder: The dataset.
    """
    width = max((len(key) for key in folder.features), default=0)
    lines = [f"found in {folder.path.name}, layout {folder.version}, {folder.fps:g} fps"]
    for key, feature in folder.features.items():
        shape = "x".join(map(str, feature.shape))
        names = f"  {', '.join(feature.names)}" if feature.type not in ("image", "video") else ""
        lines.append(f"  {key:{width}}  {feature.type:7}  {shape:9}{names}".rstrip())
    lines += [f"  task {number}: {text}" for number, text in folder.tasks.items()]
    return "\n".join(lines)


def remarks(folder: LeRobotFolder) -> list[str]:
    """Return what does not fit together in a dataset that was read, a line each.

    Args:
        folder: The dataset, after its episodes were read.
    """
    return list(dict.fromkeys(folder.remarks))
