"""Drives to the place in a picture, waits there for a moment, and drives back."""

from __future__ import annotations

import sys
import time

from wm_mpc.client import Client, ClientError


def main(there: str) -> int:
    with Client() as client:
        here = client.take_picture()
        for name, picture in (("there", there), ("back", here)):
            client.set_goal(picture)  # a file, or an array (height, width, 3)
            goal = client.wait(timeout=60.0)
            print(f"{name}: {goal.code} after {goal.seconds:.1f} s")
            if not goal.is_reached:
                print("the controller says:", client.status.sentence)
                return 1

            client.hold()
            print("holding:", client.status.code)
            time.sleep(1.0)
            client.resume()
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: drive.py PICTURE")
    try:
        sys.exit(main(sys.argv[1]))
    except ClientError as error:
        sys.exit(f"drive: {error}")
