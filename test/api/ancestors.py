"""The rows of docs/ancestors.md for programs in Python: run by ancestors.test.ts against a real `trainguard serve`.

Prints one JSON object: the outcome of each row (null, or the traceback), and the signatures as `inspect` says them.
"""

import hashlib
import inspect
import json
import os
import sys
import time
import traceback
import uuid

import trainguard_client
from trainguard_client import RecoveryManager, RequestRefused

ROWS = {}


def row(owner, ancestor):
    def add(check):
        ROWS["%s: %s" % (owner, ancestor)] = check
        return check

    return add


def manager_row(ancestor):
    """The check gets a manager of its own, and a worker's id that nobody else uses."""

    def add(check):
        def run():
            manager = RecoveryManager(heartbeat_interval=0.2)
            try:
                check(manager, "w-" + uuid.uuid4().hex)
            finally:
                manager.stop_monitoring()

        return row("RecoveryManager", ancestor)(run)

    return add


def until(holds):
    """Waits for a fact, not for a time; 20 s is too long for any of them."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def raises(kind, call, *args):
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError("%s was not raised" % kind.__name__)


def told_at_once(worker_id, **state):
    """What another process says of the worker: its first heartbeat goes out at once."""
    return RecoveryManager(heartbeat_interval=0.2).heartbeat(worker_id, state)


# -- RecoveryManager


@manager_row("heartbeat_interval=5")
def heartbeat_interval(manager, worker):
    manager.register_worker(worker)
    manager.start_monitoring()
    for batch in range(20):
        time.sleep(0.05)
        assert manager.heartbeat(worker, {"current_batch": batch})
    assert manager.get_worker(worker).failure_count == 0
    until(lambda: manager.get_worker(worker).status == "failed")


@manager_row("max_failures=3")
def max_failures(manager, worker):
    manager.register_worker(worker)
    for _ in range(3):
        manager.mark_worker_failed(worker)
        assert told_at_once(worker) is True
    manager.mark_worker_failed(worker)
    assert told_at_once(worker) is False
    assert manager.get_worker(worker).status == "failed"


@manager_row("checkpoint_dir='checkpoints'")
def checkpoint_dir(_manager, worker):
    away = RecoveryManager(url="http://127.0.0.1:9", retry_for=0, request_timeout=1)
    path = away.save_checkpoint(worker, {"step": 1})
    assert os.path.abspath(path).startswith(os.path.abspath("checkpoints") + os.sep), path
    assert away.load_checkpoint(worker) == {"step": 1}


@manager_row("startMonitoring")
def start_monitoring(manager, worker):
    manager.start_monitoring()
    manager.register_worker(worker)
    until(lambda: manager.get_worker(worker).status == "failed")
    manager.heartbeat(worker, {"current_batch": 1})
    # nobody but the thread says so
    until(lambda: manager.get_worker(worker).current_batch == 1)


@manager_row("stopMonitoring")
def stop_monitoring(manager, worker):
    manager.register_worker(worker)
    manager.start_monitoring()
    assert manager.heartbeat(worker) is True
    manager.stop_monitoring(fleet=True)
    assert manager.heartbeat(worker) is False
    assert told_at_once(worker) is False
    manager.start_monitoring()
    assert told_at_once(worker) is True


@manager_row("registerWorker")
def register_worker(manager, worker):
    state = manager.register_worker(worker, {"current_batch": 7})
    assert (state.worker_id, state.status, state.current_batch) == (worker, "active", 7)
    path = manager.save_checkpoint(worker, {"step": 7})
    manager.mark_worker_failed(worker)
    again = manager.register_worker(worker)
    assert (again.failure_count, again.last_checkpoint, again.status) == (1, path, "recovered")


@manager_row("heartbeat")
def heartbeat(manager, worker):
    assert told_at_once(worker) is False
    manager.register_worker(worker)
    assert manager.heartbeat(worker, {"current_batch": 1, "loss": 0.5}) is True


@manager_row("saveCheckpoint")
def save_checkpoint(manager, worker):
    path = manager.save_checkpoint(worker, {"step": 3, "weights": [0.5, -1]})
    with open(path, "rb") as file:
        data = file.read()
    assert json.loads(data.decode()) == {"step": 3, "weights": [0.5, -1]}
    assert hashlib.sha256(data).hexdigest() in os.path.basename(path)
    assert "loss" in str(raises(ValueError, manager.save_checkpoint, worker, {"loss": float("nan")}))


@manager_row("loadCheckpoint")
def load_checkpoint(manager, worker):
    assert manager.load_checkpoint(worker) is None
    manager.save_checkpoint(worker, {"step": 1})
    newest = manager.save_checkpoint(worker, {"step": 2})
    assert manager.load_checkpoint(worker) == {"step": 2}
    with open(newest, "w") as file:
        file.write('{"step":9}')
    assert manager.load_checkpoint(worker) == {"step": 1}
    assert os.path.exists(newest)


@manager_row("getFailedWorkers")
def get_failed_workers(manager, worker):
    def failed():
        return [one.worker_id for one in manager.get_failed_workers() if one.worker_id.startswith(worker)]

    for n in range(3):
        manager.register_worker("%s-%d" % (worker, n))
    assert failed() == []
    manager.mark_worker_failed(worker + "-2")
    manager.mark_worker_failed(worker + "-0")
    assert failed() == [worker + "-0", worker + "-2"]


@manager_row("markWorkerFailed")
def mark_worker_failed(manager, worker):
    manager.register_worker(worker)
    assert manager.mark_worker_failed(worker, "its node is gone").failure_count == 1
    assert manager.mark_worker_failed(worker, "again").failure_count == 2
    assert raises(RequestRefused, manager.mark_worker_failed, worker + "-other").status == 404


@manager_row("getWorker")
def get_worker(manager, worker):
    manager.register_worker(worker)
    assert manager.get_worker(worker).worker_id == worker
    assert manager.get_worker(worker + "-other") is None


@manager_row("worker.workerId")
def worker_id(manager, worker):
    for name in (worker, worker + "-node-3:gpu_1", worker + "@b.c"):
        assert manager.register_worker(name).worker_id == name
    raises(ValueError, manager.register_worker, "../w0")


@manager_row("worker.status")
def worker_status(manager, worker):
    def status():
        return manager.get_worker(worker).status

    manager.register_worker(worker)
    assert status() == "active"
    manager.mark_worker_failed(worker)
    assert status() == "failed"
    told_at_once(worker)
    assert status() == "recovered"
    told_at_once(worker)
    assert status() == "active"


@manager_row("worker.lastCheckpoint")
def last_checkpoint(manager, worker):
    assert manager.register_worker(worker).last_checkpoint is None
    manager.save_checkpoint(worker, {"step": 1})
    newest = manager.save_checkpoint(worker, {"step": 2})
    assert manager.get_worker(worker).last_checkpoint == newest
    assert RecoveryManager().register_worker(worker).last_checkpoint == newest


@manager_row("worker.failureCount")
def failure_count(manager, worker):
    manager.start_monitoring()
    assert manager.register_worker(worker).failure_count == 0
    until(lambda: manager.get_worker(worker).status == "failed")
    assert manager.get_worker(worker).failure_count == 1
    told_at_once(worker, current_batch=1)
    told_at_once(worker, current_batch=2)
    assert manager.get_worker(worker).failure_count >= 1
    until(lambda: manager.get_worker(worker).failure_count == 2)


@manager_row("worker.lastHeartbeat")
def last_heartbeat(manager, worker):
    before = time.time()
    registered = manager.register_worker(worker).last_heartbeat
    # the server's clock has whole milliseconds
    assert before - 0.001 <= registered <= time.time()
    time.sleep(0.005)
    told_at_once(worker)
    assert registered < manager.get_worker(worker).last_heartbeat <= time.time()


@manager_row("worker.currentBatch")
def current_batch(manager, worker):
    assert manager.register_worker(worker).current_batch == 0
    told_at_once(worker, current_batch=41)
    told_at_once(worker)
    assert manager.get_worker(worker).current_batch == 41


# -- all of it


def signature(call):
    """Without types: `register_worker(worker_id, initial_state=None)`."""
    plain = inspect.signature(call)
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in plain.parameters.values() if one.name != "self"]
    return call.__name__ + str(plain.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def signatures():
    found = {}
    for owner in (trainguard_client.RecoveryManager, trainguard_client.RecursiveTrainingRecovery):
        found[owner.__name__] = signature(owner.__init__)
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                found["%s.%s" % (owner.__name__, name)] = signature(method)
    return found


def outcome(check):
    try:
        check()
    except Exception:
        return traceback.format_exc()
    return None


json.dump({"outcomes": {name: outcome(check) for name, check in ROWS.items()}, "signatures": signatures()}, sys.stdout)
