"""Remembers where the robot is now as a picture, and brings the robot back there."""

from __future__ import annotations

import sys
import time

from wm_mpc.client import Client, ClientError


def main() -> int:
    with Client() as client:
        here = client.take_picture()  # a file will do, too: client.set_goal("shelf.png")
        time.sleep(1.0)  # the robot goes on to the goal it has

        client.hold()
        print("holding:", client.status.code)
        client.resume()

        client.set_goal(here)
        goal = client.wait(timeout=60.0)
        print("goal:", goal.code, f"after {goal.seconds:.1f} s")
        if not goal.is_reached:
            print("the controller says:", client.status.sentence)
        return 0 if goal.is_reached else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClientError as error:
        sys.exit(f"drive: {error}")
