"""A process that kills itself while it scores: `python -c f"{DYING}..." N ARGUMENT ...`."""

DYING = """
import os, signal, sys
from evalkit.store.journal import Journal

left, append = int(sys.argv.pop(1)), Journal.append

def dying(journal, payload):
    global left
    found = append(journal, payload)
    left -= journal.path.name == "scores.log"
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

Journal.append = dying
"""
"""Kills itself when scores are appended for the N-th time; takes N out of the arguments."""
