"""The digits, with a failure of the given cause right after the heartbeat of one step.

CAUSE_CODE is the Python that fails, CAUSE_AT the step (45), CAUSE_ATTEMPTS the attempts it strikes in ("0"; "*": all).
Arguments are those of digits.py.
"""

import os
import runpy
import sys

DIGITS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "fixtures", "trainers", "digits.py")
STEP = os.environ.get("CAUSE_AT", "45")
ATTEMPTS = os.environ.get("CAUSE_ATTEMPTS", "0").split(",")


class Struck:
    """stdout that fails once the heartbeat of the step went through it."""

    def __init__(self, out):
        self.out = out

    def write(self, text):
        written = self.out.write(text)
        if "heartbeat step=%s " % STEP in text and (os.environ.get("TRAINGUARD_ATTEMPT") in ATTEMPTS or "*" in ATTEMPTS):
            self.out.flush()
            exec(compile(os.environ["CAUSE_CODE"], "train.py", "exec"), {})
        return written

    def __getattr__(self, name):
        return getattr(self.out, name)


if "CAUSE_CODE" in os.environ:
    sys.stdout = Struck(sys.stdout)
sys.argv[0] = DIGITS
sys.path.insert(0, os.path.dirname(DIGITS))
runpy.run_path(DIGITS, run_name="__main__")
