"""The rows of docs/ancestors.md for programs in Python: run by ancestors.test.ts against a real `trainguard serve`.

Prints one JSON object: the outcome of each row (null, or the traceback), and the signatures as `inspect` says them.
"""

import hashlib
import inspect
import json
import logging
import os
import sys
import time
import traceback
import types
import uuid

import trainguard_client
from trainguard_client import RecoveryManager, RecursiveTrainingRecovery, RequestRefused

ROWS = {}


def row(owner, ancestor):
    def add(check):
        ROWS["%s: %s" % (owner, ancestor)] = check
        return check

    return add


def manager_row(ancestor, heartbeat_interval=60):
    """The check gets a manager of its own, and a worker's id that nobody else uses."""

    def add(check):
        def run():
            manager = RecoveryManager(heartbeat_interval=heartbeat_interval)
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
    return RecoveryManager().heartbeat(worker_id, state)


# -- RecoveryManager


@manager_row("heartbeat_interval=5", heartbeat_interval=0.2)
def heartbeat_interval(manager, worker):
    manager.start_monitoring()
    before = time.monotonic()
    manager.register_worker(worker)
    until(lambda: manager.get_worker(worker).status == "failed")
    # three of them; the server counts in slots of 50 ms
    assert time.monotonic() - before > 0.5


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
    # beside the token's file it would find where the server really is
    away = RecoveryManager(url="http://127.0.0.1:9", token="x" * 43, retry_for=0, request_timeout=1)
    path = away.save_checkpoint(worker, {"step": 1})
    assert os.path.abspath(path).startswith(os.path.abspath("checkpoints") + os.sep), path
    assert away.load_checkpoint(worker) == {"step": 1}


@manager_row("startMonitoring", heartbeat_interval=0.2)
def start_monitoring(manager, worker):
    manager.start_monitoring()
    manager.register_worker(worker)
    until(lambda: manager.get_worker(worker).status == "failed")
    manager.heartbeat(worker, {"current_batch": 1})
    manager.heartbeat(worker, {"current_batch": 2})
    # the first goes out at once, the second is the thread's to tell
    until(lambda: manager.get_worker(worker).current_batch == 2)


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


@manager_row("worker.failureCount", heartbeat_interval=0.2)
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


# -- RecursiveTrainingRecovery


def recursive_row(ancestor):
    """The check gets an id that nobody else uses."""
    return lambda check: row("RecursiveTrainingRecovery", ancestor)(lambda: check("r-" + uuid.uuid4().hex))


SOON = {"initial": 0}


def recovery(retry, **config):
    return RecursiveTrainingRecovery(dict(config, retry=retry, backoff=config.get("backoff", SOON)))


def failing(calls):
    def retry(context):
        calls.append(context["attempt"])
        raise RuntimeError("fault %d" % len(calls))

    return retry


def handed(context):
    """What `retry` gets."""
    seen = []
    assert recovery(lambda given: seen.append(dict(given))).recover(RuntimeError("x"), context) is True
    return seen[0]


def names(field, context):
    assert field in str(raises(ValueError, recovery(lambda _: None).recover, RuntimeError("x"), context))


def names_in_log(field, context):
    """A wrong number is not worth a training: it is let be, and named."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("trainguard")
    logger.addHandler(handler)
    try:
        assert recovery(lambda _: None).recover(RuntimeError("x"), context) is True
    finally:
        logger.removeHandler(handler)
    assert any(field in line for line in lines), lines


def damage(path):
    with open(path, "w") as file:
        file.write("{}")


@recursive_row("maxRetries")
def max_retries(_run):
    calls = []
    assert recovery(failing(calls)).recover(RuntimeError("x"), {}) is False
    assert calls == [1, 2, 3], calls
    del calls[:]
    assert recovery(failing(calls), max_retries=1).recover(RuntimeError("x"), {}) is False
    assert calls == [1], calls


@recursive_row("rollbackEnabled")
def rollback_enabled(run):
    path = RecoveryManager().save_checkpoint(run, {"step": 10})
    context = {"run_id": run}
    assert recovery(lambda _: None, rollback_enabled=False).recover(RuntimeError("x"), context) is True
    assert "last_checkpoint_path" not in context and "state" not in context
    assert recovery(lambda _: None).recover(RuntimeError("x"), context) is True
    assert os.path.basename(context["last_checkpoint_path"]) == os.path.basename(path)
    assert context["state"] == {"step": 10}


@recursive_row("recover")
def recover(_run):
    seen = []

    def retry(context):
        seen.append(context["dataset"])
        if len(seen) < 3:
            raise RuntimeError("fault %d" % len(seen))

    assert recovery(retry).recover(RuntimeError("x"), {"dataset": "digits"}) is True
    assert seen == ["digits"] * 3
    assert recovery(retry).recover(ModuleNotFoundError("No module named 'torhc'"), {"dataset": "digits"}) is False
    assert len(seen) == 3, "no retry finds a module that is not there"


@recursive_row("rollbackToSafeState")
def rollback_to_safe_state(run):
    manager = RecoveryManager()
    good = manager.save_checkpoint(run, {"step": 10})
    damage(manager.save_checkpoint(run, {"step": 20}))
    context = {"run_id": run}
    assert recovery(lambda _: None).rollback_to_safe_state(context) is True
    assert context["state"] == {"step": 10}
    assert os.path.basename(context["last_checkpoint_path"]) == os.path.basename(good)
    assert recovery(lambda _: None).rollback_to_safe_state({"run_id": run + "-other"}) is False


@recursive_row("retry with backoff")
def retry_with_backoff(_run):
    def waits(backoff):
        slept = []
        # what the client sleeps by, for this thread only as long as it lasts
        real, trainguard_client.time = trainguard_client.time, types.SimpleNamespace(
            sleep=slept.append, monotonic=time.monotonic, time=time.time
        )
        try:
            config = {"retry": failing([]), "max_retries": 7}
            if backoff is not None:
                config["backoff"] = backoff
            assert RecursiveTrainingRecovery(config).recover(RuntimeError("x"), {}) is False
        finally:
            trainguard_client.time = real
        return slept

    for slept, usual in zip(waits(None), [10, 20, 40, 80, 160, 300, 300]):
        assert usual <= slept <= 1.25 * usual, (slept, usual)
    own = {"initial": 1, "factor": 3, "max": 20, "jitter": 0}
    assert waits(own) == [1, 3, 9, 20, 20, 20, 20]


def uses_strategy(kind, error):
    """The error is of the kind, and what is given for the kind is done instead of the usual."""
    done = []

    def prepare(_context, decision):
        done.append("prepare for " + decision["kind"])

    own = recovery(lambda _: done.append("retry"), strategies={kind: {"prepare": prepare}})
    assert own.recover(error, {}) is True
    assert done == ["prepare for " + kind, "retry"], (done, own.get_recovery_status())
    del done[:]
    refused = recovery(lambda _: done.append("retry"), strategies={kind: {"retry": False, "rollback": False}})
    assert refused.recover(error, {}) is False
    assert done == []


class ConvergenceError(Exception):
    pass


@recursive_row("strategy: out of memory")
def out_of_memory(_run):
    uses_strategy("gpu-memory", RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    uses_strategy("host-memory", MemoryError())


@recursive_row("strategy: numeric")
def numeric(_run):
    uses_strategy("numeric", FloatingPointError("loss is nan"))


@recursive_row("strategy: checkpoint")
def checkpoint(_run):
    words = "PytorchStreamReader failed reading zip archive: failed finding central directory"
    uses_strategy("checkpoint", RuntimeError(words))


@recursive_row("strategy: network")
def network(_run):
    uses_strategy("network", ConnectionRefusedError(111, "Connection refused"))


@recursive_row("strategy: convergence")
def convergence(_run):
    uses_strategy("convergence", ConvergenceError("the loss is where it was 900 steps ago"))


@recursive_row("strategy: anything else")
def anything_else(_run):
    uses_strategy("exception", RuntimeError("the loader found no batch"))


@recursive_row("getRecoveryStatus")
def get_recovery_status(_run):
    faults = [RuntimeError("the second fault")]

    def retry(_context):
        if faults:
            raise faults.pop()

    one = recovery(retry)
    assert one.recover(RuntimeError("the first fault"), {}) is True
    status = one.get_recovery_status()
    assert status["attempts"] == 2
    assert any("the first fault" in reason for reason in status["reasons"]), status
    assert any("the second fault" in reason for reason in status["reasons"]), status


@recursive_row("lastRecoveryStatus")
def last_recovery_status(_run):
    works = [True]
    one = recovery(lambda _: works[0])
    assert one.get_recovery_status()["last_recovery_status"] is None
    one.recover(RuntimeError("x"), {})
    assert one.get_recovery_status()["last_recovery_status"] == "success"
    works[0] = False  # what a retry of the ancestor's returned counted too
    one.recover(RuntimeError("x"), {})
    assert one.get_recovery_status()["last_recovery_status"] == "failed"


@recursive_row("context.runId")
def run_id(run):
    RecoveryManager().save_checkpoint(run, {"step": 10})
    assert handed({"run_id": run})["state"] == {"step": 10}
    assert handed({"runId": run})["state"] == {"step": 10}
    names("run_id", {"run_id": 7})


@recursive_row("context.attempt")
def attempt(_run):
    assert handed({})["attempt"] == 1
    context = {"attempt": 4}
    assert recovery(lambda _: None).recover(RuntimeError("x"), context) is True
    assert context["attempt"] == 5, context
    names_in_log("attempt", {"attempt": -1})


@recursive_row("context.step")
def step(_run):
    calls = []

    def same(_context):
        calls.append(1)
        raise RuntimeError("x")

    assert recovery(same, max_retries=9).recover(RuntimeError("x"), {"step": 7}) is False
    # the first is raised elsewhere than those of the retry
    assert len(calls) in (2, 3), len(calls)
    names_in_log("step", {"step": 1.5})


@recursive_row("context.epoch")
def epoch(_run):
    assert handed({"epoch": 2.5})["epoch"] == 2.5
    names_in_log("epoch", {"epoch": -1})


@recursive_row("context.modelId")
def model_id(run):
    assert handed({"model_id": "resnet-18"})["model_id"] == "resnet-18"
    names("model_id", {"model_id": 18})


@recursive_row("context.lastCheckpointPath")
def last_checkpoint_path(run):
    path = RecoveryManager().save_checkpoint(run, {"step": 10})
    seen = handed({"run_id": run, "last_checkpoint_path": "step-20.npz"})
    assert os.path.basename(seen["last_checkpoint_path"]) == os.path.basename(path)
    names("last_checkpoint_path", {"last_checkpoint_path": 20})


@recursive_row("context.error")
def error(_run):
    first, second = RuntimeError("x"), RuntimeError("y")
    seen = []

    def retry(context):
        seen.append(context["error"])
        if len(seen) < 2:
            raise second

    assert recovery(retry).recover(first, {}) is True
    assert seen == [first, second]


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
