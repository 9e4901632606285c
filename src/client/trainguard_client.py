"""Workers of a training talk to `trainguard serve` through this one file: standard library only, Python 3.8 and up.

    manager = RecoveryManager(heartbeat_interval=5)      # TRAINGUARD_URL and TRAINGUARD_TOKEN_FILE say where it is
    manager.start_monitoring()
    manager.register_worker("worker-0")
    state = manager.load_checkpoint("worker-0") or {"step": 0}
    while state["step"] < 1000:
        train(state)
        if not manager.heartbeat("worker-0", {"current_batch": state["step"]}):
            break
        manager.save_checkpoint("worker-0", state)
    manager.unregister_worker("worker-0")                # it is done: its silence is no failure

Made by `trainguard client python`. Nothing here is ever unpickled: states are JSON.
"""

import atexit
import base64
import collections
import collections.abc
import contextlib
import dataclasses
import hashlib
import http.client
import inspect
import json
import logging
import math
import numbers
import operator
import os
import random
import re
import socket
import ssl
import tempfile
import threading
import time
import traceback
import urllib.parse
import uuid
import weakref
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, TypeVar, Union

__all__ = [
    "RecoveryContext",
    "RecoveryError",
    "RecoveryManager",
    "RecursiveTrainingRecovery",
    "RequestRefused",
    "ServerUnavailable",
    "WorkerState",
]

_T = TypeVar("_T")
_log = logging.getLogger("trainguard")
# of its own, so that a training that seeded `random` draws what it would have drawn without us
_random = random.Random(os.urandom(16))
_WORKER_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}")
_FILE_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)-(\d+)\.([0-9a-f]{64})\.json")
_BEATS_A_REQUEST = 1000  # the server takes no more, ...
_BEAT_BYTES_A_REQUEST = 900 * 1024  # ... and no more than 1 MiB
_BEAT_TEXT_CHARS = 1024
_BEAT_OWN = ("current_batch", "currentBatch", "phase", "workerId", "unreachedSeconds")
_BEAT_FIELDS_FIRST = ("step", "loss")  # the server keeps the first so many
_LARGEST = 2**53 - 1  # that JSON carries unharmed everywhere
_MESSAGE_CHARS, _TRACEBACK_CHARS = 10 * 1024, 32 * 1024
_HISTORY = 1000  # failures that the server takes
_DEEPEST = 500  # as the server takes it: readers give up at about 1,000
_OTHER_NAME = "its certificate is for other names: say one of those in the URL, or make a certificate for this one"
_CERTIFICATES = {  # by OpenSSL's code
    9: "its certificate is not valid yet: is the clock right?",
    10: "its certificate has expired: renew it",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 24 * 86400  # seconds
_IN_CHECKPOINTS = ("numeric", "convergence", "checkpoint")  # failures that a checkpoint may bring back
_REFUSALS = (400, 401, 403, 404, 409, 410, 413, 415, 422, 431)  # with which the server itself says no
_WORKER = {"workerId": str, "status": str, "failureCount": int, "lastHeartbeat": (int, float), "currentBatch": int}
_MAY_BE_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_DECISION = {"kind": str, "reason": str, "why": str, "retry": bool, "rollback": bool, "delayMs": (int, float)}
_KINDS = (
    "checkpoint code command config convergence exception gpu gpu-memory hang host-memory "
    "killed network not-resumed numeric preempted stopped storage unknown"
).split()


class RecoveryError(Exception):
    """Whatever this file raises, but for wrong arguments (TypeError, ValueError)."""


class ServerUnavailable(RecoveryError, ConnectionError):
    """The server did not answer, was too busy to, or another answered in its place: trying again later may help."""


class RequestRefused(RecoveryError):
    """The server said no, and will again. `status` is HTTP's (401 the token, 404 no such worker, 409 no checkpoint is
    whole, 410 the attempt is over, 413 too large)."""

    def __init__(self, status: int, message: str, headers: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self._headers = headers or {}

    def __reduce__(self) -> Any:  # a pool's worker hands it to its parent
        return type(self), (self.status, str(self))


class _WrongAddress(ServerUnavailable):
    """What answers is not what TRAINGUARD_URL says, or not to be trusted: waiting does not help."""


@dataclasses.dataclass(frozen=True)
class WorkerState:
    """What the server knows of a worker."""

    worker_id: str
    status: str  # "active", "failed" (silent for too long, or marked) or "recovered" (failed, and beat again)
    last_checkpoint: Optional[str]  # path on the server's machine
    failure_count: int
    last_heartbeat: float  # seconds since 1970, as time.time()
    current_batch: int


class RecoveryManager:
    """Registers workers, beats for them while they get on, and keeps their checkpoints.

    One object serves all workers of a process, from any thread. A process that was forked, or that is an actor on
    another machine, beats only for the workers that it names itself. Where the server cannot be reached the training
    goes on.

    heartbeat_interval   seconds between two reports of a worker
    max_failures         failures after which a worker may still go on; one more and `heartbeat` answers False for good
    checkpoint_dir       where a checkpoint goes that the server could not take; it is sent when the server is back
    url, token           unless in TRAINGUARD_URL, and TRAINGUARD_TOKEN or a file that TRAINGUARD_TOKEN_FILE names
    ca                   a PEM file that the server's certificate is checked against, unless in TRAINGUARD_CA
    heartbeat_timeout    seconds of silence after which a worker counts as failed (three intervals): longer than a step
    retry_for            seconds that save_checkpoint, load_checkpoint and questions go on trying
    request_timeout      seconds that one request waits for the server
    """

    def __init__(
        self,
        heartbeat_interval: float = 5,
        max_failures: int = 3,
        checkpoint_dir: Union[str, "os.PathLike[str]"] = "checkpoints",
        *,
        url: Optional[str] = None,
        token: Optional[str] = None,
        ca: Optional[str] = None,
        heartbeat_timeout: Optional[float] = None,
        keep_checkpoints: int = 3,
        retry_for: float = 30,
        request_timeout: float = 10
    ) -> None:
        self._interval = _positive("heartbeat_interval", heartbeat_interval)
        timeout = 3 * self._interval if heartbeat_timeout is None else heartbeat_timeout
        self._timeout = _positive("heartbeat_timeout", timeout)
        if self._timeout < self._interval:
            raise ValueError("heartbeat_timeout is shorter than heartbeat_interval: every worker would fail")
        self._max_failures = _whole("max_failures", max_failures)
        self._spool = _Spool(_folder(checkpoint_dir), max(1, _whole("keep_checkpoints", keep_checkpoints)))
        self._retry_for = 0.0 if retry_for == 0 else _positive("retry_for", retry_for)
        self._server = _Server(url, token, ca, _positive("request_timeout", request_timeout))
        self._workers: Dict[str, _Worker] = {}
        self._monitoring: Optional[bool] = None  # None: neither started nor stopped yet
        self._monitoring_told = False
        # a signal's handler may save a checkpoint while its own thread is in here
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._beating: Optional[threading.Thread] = None
        self._sending: Optional[threading.Thread] = None
        self._failures, self._not_before = 0, 0.0  # in a row; when to try again
        self._took = 0.0  # seconds, of the last request that failed
        self._no_thread = False  # there is no room for one
        self._met = False  # the server itself answered once
        self._over: Optional[str] = None  # what the server said when our attempt was over
        _managers.add(self)

    def __getstate__(self) -> Any:
        raise TypeError("a RecoveryManager belongs to its process: make one in each worker, actor or task")

    # -- monitoring

    def start_monitoring(self) -> None:
        """Has the server watch for silent workers, and begins to beat for those registered here, in a thread.

        Raises RequestRefused if the token is wrong, ServerUnavailable if the scheme, the path or the certificate is; a
        server that is away is told when it is back.
        """
        self._monitoring = True
        self._monitoring_told = False
        unwritable = self._spool.trouble()
        if unwritable is not None:
            _log.warning(
                "trainguard: checkpoint_dir %s cannot be written (%s): in an outage no checkpoint can be kept there",
                self._spool.directory,
                unwritable,
            )
        try:
            self._tell_monitoring()
        except _WrongAddress:
            raise
        except ServerUnavailable as error:
            self._away(error)
        self._ensure_thread()

    def stop_monitoring(self, *, fleet: bool = False) -> None:
        """Ends this process's thread; from now on `heartbeat` answers False here, and nothing is sent.

        The server goes on watching: workers of other processes notice nothing, and those of this one count as failed
        once they are silent, unless they were unregistered. With fleet=True the server stops watching all workers of
        all processes, and tells each of them to stop.
        """
        self._monitoring = False
        self._stop.set()
        thread, self._beating = self._beating, None
        if thread is not None:
            thread.join(self._server.timeout)
        if fleet:
            self._ask("PUT", "/v1/monitoring", {"monitoring": False}, self._retry_for, {"monitoring": bool})

    # -- workers

    def register_worker(self, worker_id: str, initial_state: Optional[Dict[str, Any]] = None) -> WorkerState:
        """Names a worker of this process; again after it came back. Only `current_batch` of the state counts.

        Raises ValueError for an id that is none, RequestRefused if the token is wrong (410: the attempt that this
        process belongs to is over), ServerUnavailable if the URL or the certificate is. If the server is away the
        answer is what is known here, and the worker is registered when the server is back.
        """
        worker = self._worker(worker_id)
        with self._lock:
            worker.take(initial_state)
            worker.told = worker.moved
            worker.ours, worker.known, worker.go_on = True, False, True
        state = None
        try:
            state = self._register(worker)
        except _WrongAddress:
            raise
        except ServerUnavailable as error:
            self._away(error)
        self._ensure_thread()
        local = self._spool.newest(worker_id)
        return state or WorkerState(worker_id, "active", local, 0, time.time(), worker.batch or 0)

    def unregister_worker(self, worker_id: str) -> bool:
        """It has finished: it is watched no longer; its checkpoints stay.

        False: there was no such worker, or the server could not be told (which is logged, and is no reason to fail
        now).
        """
        worker = self._worker(worker_id)
        if self._may_tell():
            try:
                self._tell_last([worker], time.monotonic() + 2)
            except RecoveryError as error:
                _log.info("trainguard: the last step of %s was not told: %s", worker_id, error)
        with worker.registering:  # a thread that finds it gone must not register it again
            worker.ours = worker.asked = False
        with self._lock:
            self._workers.pop(worker_id, None)
        try:
            self._ask("DELETE", _path(worker_id), None, self._retry_for)
            return True
        except ServerUnavailable as error:
            _log.warning("trainguard: %s has finished, and will be taken for failed: %s", worker_id, error)
        except RequestRefused as error:
            if error.status not in (404, 410):
                _log.warning("trainguard: %s has finished, and will be taken for failed: %s", worker_id, error)
        return False

    def heartbeat(self, worker_id: str, state: Optional[Dict[str, Any]] = None) -> bool:
        """The worker got on. Cheap: call it every step. Answers whether to go on, as the server said last.

        False: it failed more often than it may, nobody registered it, monitoring was stopped, or `trainguard run` has
        begun another attempt, which this process is no part of. `state` may hold
        current_batch, step, loss and other plain values; {"phase": "eval"} says that the batch stands still on purpose,
        until the next call without it. A call that names the batch of the last one is no progress. While the server is
        away it answers as before (True at first).
        """
        if self._monitoring is False or self._over is not None:
            return False
        worker = self._worker(worker_id)
        with self._lock:
            worker.take(state)
            first, worker.asked = not worker.asked, True
            if first:
                worker.moved += 1
            inline = first or (self._beating is None and worker.due(self._interval))
        if inline and time.monotonic() >= self._not_before:
            self._try_report([worker])
        self._ensure_thread()
        return worker.go_on

    @contextlib.contextmanager
    def phase(self, worker_id: str, name: str, at_most: float = 3600) -> Iterator[None]:
        """`with manager.phase("worker-0", "eval"):` beats though no batch passes, for `at_most` seconds.

        For evaluation, loading, saving: startup, eval, checkpoint. Only while monitoring is started here.
        """
        worker = self._worker(worker_id)
        this = object()
        with self._lock:
            worker.phases[this] = name, time.monotonic() + _positive("at_most", at_most)
            worker.moved += 1
        try:
            self._ensure_thread()
            yield
        finally:
            with self._lock:
                del worker.phases[this]
                worker.moved += 1

    def get_worker(self, worker_id: str) -> Optional[WorkerState]:
        """None: no such worker. Raises ServerUnavailable."""
        try:
            return _worker_state(self._ask("GET", _path(worker_id), None, self._retry_for, _WORKER))
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    def get_failed_workers(self) -> List[WorkerState]:
        """Every worker of the fleet that counts as failed, by id. Raises ServerUnavailable."""
        found: List[WorkerState] = []
        path = first = "/v1/workers?status=failed&limit=1000"
        while True:
            page = self._ask("GET", path, None, self._retry_for, {"workers": list})
            if not all(_has(worker, _WORKER) for worker in page["workers"]):
                raise self._stranger("GET %s answered as no `trainguard serve` does" % (self._server.url + path))
            found += [_worker_state(worker) for worker in page["workers"]]
            if not isinstance(page.get("next"), str):
                return found
            path = first + "&after=" + urllib.parse.quote(page["next"], safe="")

    def mark_worker_failed(self, worker_id: str, reason: Optional[str] = None) -> WorkerState:
        """Adds one to its failure_count, also if it failed before. Raises RequestRefused (404) if there is no such
        worker."""
        body = {} if reason is None else {"reason": reason[:1000]}
        return _worker_state(self._ask("POST", _path(worker_id, "/failures"), body, self._retry_for, _WORKER))

    # -- checkpoints

    def save_checkpoint(self, worker_id: str, state: Any) -> str:
        """Returns the path of the file once the state is safe on a disk: the server's, or else checkpoint_dir's.

        A server that is away is tried for `retry_for` seconds, but only at the first save of an outage. Raises
        ValueError or TypeError for None and what JSON cannot hold (NaN, Infinity, an array) and says where in the state
        it is; RequestRefused if it is larger than the server takes, or the attempt is over (410); RecoveryError if it
        could be kept nowhere.
        """
        data = _to_json(state)
        worker = self._worker(worker_id)
        with self._long("checkpoint", worker_id), worker.saving:
            try:
                if worker.unsent and self._is_away():
                    raise ServerUnavailable("%s is still away" % self._server.url)
                return self._send_checkpoint(worker, data, 0 if worker.unsent else self._retry_for)
            except (ServerUnavailable, RequestRefused) as error:
                # for what is wrong with the state, or the attempt; not for a token that was changed, say
                if isinstance(error, RequestRefused) and error.status in (400, 410, 413):
                    raise
                if not self._has_thread():
                    self._away(error)
                try:
                    path = self._spool.write(worker_id, data, worker.newest)
                except OSError as unwritable:
                    raise RecoveryError(
                        "the checkpoint of %s is kept nowhere: %s, and checkpoint_dir cannot take it: %s"
                        % (worker_id, error, unwritable)
                    ) from unwritable
                worker.unsent = True
                _log.warning("trainguard: kept in %s until the server takes it: %s", path, error)
                return path

    def load_checkpoint(self, worker_id: str) -> Any:
        """The newest state that is whole, of the server's and of those kept in checkpoint_dir. None: there is none.

        Raises ServerUnavailable if the server is away and nothing is kept here: whether there is one is not known then,
        and to train from the beginning would be a guess. RecoveryError if there are some, and none is whole (of the
        server's: RequestRefused, 409).
        """
        found = self._load(worker_id)
        return None if found is None else found[0]

    def _load(self, worker_id: str, before: Optional[str] = None) -> Optional[Tuple[Any, str]]:
        """State and path. @param before a name: only what is older counts"""
        worker = self._worker(worker_id)
        local = self._spool.read_newest(worker_id, before)
        try:
            with self._long("startup", worker_id):
                remote = self._fetch(worker_id, self._retry_for, before)
        except (ServerUnavailable, RequestRefused) as error:
            if local is None and isinstance(error, ServerUnavailable):
                raise type(error)(
                    "%s; whether %s has a checkpoint is not known, and to begin anew would be a guess: start again "
                    "when the server is back, or wait longer with RecoveryManager(retry_for=...)" % (error, worker_id)
                ) from None
            if local is None or (isinstance(error, RequestRefused) and error.status != 409):
                raise
            _log.warning("trainguard: %s goes on from %s: %s", worker_id, local[0], error)
            remote = None
        if remote is not None and before is None:
            worker.newest = remote[0]
        if local is not None and (remote is None or _order(local[0]) > _order(remote[0])):
            return json.loads(local[1]), local[0]
        if remote is None and before is None:
            self._spool.check_some_whole(worker_id)
        return None if remote is None else (json.loads(remote[1]), remote[0])

    def _fetch(self, worker_id: str, patience: float, before: Optional[str] = None) -> Optional[Tuple[str, bytes]]:
        """The name and the bytes of the newest one at the server."""
        path = _path(worker_id, "/checkpoints/latest")
        if before is not None:
            path += "?before=" + urllib.parse.quote(os.path.basename(before), safe="")

        def fetch() -> Optional[Tuple[str, bytes]]:
            try:
                answer = self._request("GET", path)
            except RequestRefused as error:
                if error.status != 404:
                    raise
                return None
            name = answer.headers.get("Trainguard-Checkpoint", "")
            if not _FILE_NAME.fullmatch(name):
                raise self._stranger("GET %s answered with no checkpoint's name" % (self._server.url + path))
            if not _is_whole(name, answer.body):
                raise ServerUnavailable("the checkpoint of %s was damaged on its way" % worker_id)
            self._met = True
            return name, answer.body

        return _patiently(fetch, patience)

    def _newest(self, worker_id: str) -> Optional[str]:
        """Name of its newest checkpoint that this process knows of, or the server does; no body is read for it."""
        state = self.get_worker(worker_id)
        names = [self._worker(worker_id).newest, self._spool.newest(worker_id), state and state.last_checkpoint]
        return max((os.path.basename(name) for name in names if name), key=_order, default=None)

    def _send_checkpoint(self, worker: "_Worker", data: bytes, patience: float) -> str:
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Digest": _content_digest(data)}
        path = _path(worker.worker_id, "/checkpoints")

        def send() -> str:
            return str(self._read("POST", path, self._request("POST", path, data, headers), {"path": str})["path"])

        saved = _patiently(send, patience)
        worker.newest = os.path.basename(saved)
        worker.unsent = False
        try:
            self._spool.put_aside(worker.worker_id)
        except OSError as error:  # it is safe at the server; what lies here is superseded by its name
            _log.warning("trainguard: what was kept here of %s stays: %s", worker.worker_id, error)
        if not self._has_thread():
            self._reached()
        return saved

    def _long(self, phase: str, worker_id: str) -> "contextlib.AbstractContextManager[None]":
        """What may take as long as we are patient; twice that and more is a hang."""
        return self.phase(worker_id, phase, 60 + 2 * self._retry_for)

    def _send_unsent(self, workers: List["_Worker"]) -> None:
        """The newest that is kept here goes to the server, unless it has a newer one by now. Older ones are
        superseded."""
        for worker in workers:
            try:
                with worker.saving:
                    local = self._spool.read_newest(worker.worker_id)
                    remote = None if local is None else self._fetch(worker.worker_id, 0)
                    if local is None or (remote is not None and _order(remote[0]) >= _order(local[0])):
                        worker.unsent = False
                        self._spool.put_aside(worker.worker_id)
                    elif worker.unsent:
                        path = self._send_checkpoint(worker, local[1], 0)
                        _log.warning("trainguard: %s has what was kept here for %s", path, worker.worker_id)
            except (RecoveryError, OSError) as error:
                worker.send_not_before = time.monotonic() + 2 * self._timeout
                _log.info("trainguard: a checkpoint of %s is still kept here: %s", worker.worker_id, error)

    # -- beating

    def _beat(self, stop: threading.Event) -> None:
        tick = self._interval / 5
        bug = ""
        # not in step with the other processes that were started in this moment
        while not stop.wait(tick * _random.uniform(0.8, 1)) and self._over is None:
            try:
                with self._lock:
                    workers = list(self._workers.values())
                    # one that is due takes all along that have something to say: one request an interval
                    due = any(worker.due(self._interval - tick / 2) for worker in workers)
                if (due or self._failures) and time.monotonic() >= self._not_before:
                    self._try_report([worker for worker in workers if worker.due(0)])
                now = time.monotonic()
                unsent = [worker for worker in workers if worker.unsent and now >= worker.send_not_before]
                if unsent and not self._failures and not (self._sending and self._sending.is_alive()):
                    # apart: a large checkpoint on a slow line holds no heartbeat up
                    self._sending = threading.Thread(target=self._send_unsent, args=(unsent,), daemon=True)
                    self._sending.start()
            except Exception as error:  # a bug here must not end the beating
                if bug != repr(error):
                    _log.exception("trainguard: heartbeats go on after what should not have happened")
                bug = repr(error)

    def _try_report(self, workers: List["_Worker"]) -> None:
        began = time.monotonic()
        try:
            self._report(workers)
        except RecoveryError as error:
            if isinstance(error, ServerUnavailable):
                with self._lock:
                    for worker in workers:
                        if worker.unreached_since is None and worker.news():
                            worker.unreached_since = began
            self._away(error)

    def _report(self, workers: List["_Worker"]) -> None:
        if not self._monitoring_told:
            self._tell_monitoring()
        if self._failures and not workers:
            self._ask("GET", "/v1/health", None, None, {"version": str})
        self._register_again([worker for worker in workers if worker.ours and not worker.known])
        with self._lock:
            said = [_Said(worker, worker.moved, worker.as_json()) for worker in workers if worker.news()]
        for some in _in_requests(said):
            forgotten = [worker for worker in self._say(some) if worker.ours and not worker.known]
            if forgotten:  # the server lost what it knew
                self._tell_monitoring()
                self._register_again(forgotten)
        self._reached()

    def _say(self, said: List["_Said"]) -> List["_Worker"]:
        """One that is refused is found, and says the least from now on: no other worker suffers for it."""
        body = b'{"heartbeats":[' + b",".join(beat for _, _, beat in said) + b"]}"
        began = time.monotonic()
        try:
            answers = self._ask("POST", "/v1/heartbeats", body, None, {"answers": list})["answers"]
        except RequestRefused as error:
            if error.status not in (400, 413):
                raise
            if len(said) > 1:
                half = len(said) // 2
                return self._say(said[:half]) + self._say(said[half:])
            worker = said[0].worker
            if worker.plain:
                _log.error("trainguard: a heartbeat of %s is refused: %s", worker.worker_id, error)
                with self._lock:
                    worker.sent_at, worker.told = time.monotonic(), said[0].moved
                return []
            worker.plain = True
            _log.warning(
                "trainguard: heartbeats of %s bear its batch and phase alone from now on: %s", worker.worker_id, error
            )
            with self._lock:
                again = _Said(worker, said[0].moved, worker.as_json())
            return self._say([again])
        if len(answers) != len(said) or not all(_has(answer, {"shouldContinue": bool}) for answer in answers):
            raise self._stranger("%s answered heartbeats as no `trainguard serve` does" % self._server.url)
        # one that was on its way for so long may have been missed meanwhile: the next one says so
        stalled = time.monotonic() - began > self._interval
        with self._lock:
            for (worker, moved, _), answer in zip(said, answers):
                worker.sent_at, worker.known = time.monotonic(), answer.get("status") is not None
                excused, worker.unreached_since = worker.unreached_since is not None, began if stalled else None
                if stalled and worker.known and not (excused or answer["shouldContinue"]):
                    continue  # told to stop, for that silence maybe: the next answer counts
                worker.told = moved
                if worker.known or not worker.ours:
                    worker.go_on = bool(answer["shouldContinue"])
        return [worker for worker, _, _ in said]

    def _register_again(self, workers: List["_Worker"]) -> None:
        for worker in workers:
            try:
                self._register(worker)
            except RequestRefused as error:
                if error.status in (401, 403, 404, 410):
                    raise
                worker.ours = False  # the others are not to suffer for it
                _log.error("trainguard: %s is not registered: %s", worker.worker_id, error)

    def _register(self, worker: "_Worker") -> Optional[WorkerState]:
        with worker.registering:
            if not worker.ours:
                return None
            body = {
                "initialState": {} if worker.batch is None else {"currentBatch": worker.batch},
                "heartbeatInterval": self._interval,
                "heartbeatTimeout": self._timeout,
                "maxFailures": self._max_failures,
            }
            state = _worker_state(self._ask("PUT", _path(worker.worker_id), body, None, _WORKER))
            worker.known = True
            worker.go_on = state.status != "failed"  # beyond max_failures it stays so
        if state.last_checkpoint is not None:
            worker.newest = os.path.basename(state.last_checkpoint)
        self._reached()
        return state

    def _tell_monitoring(self) -> None:
        if self._monitoring:
            self._ask("PUT", "/v1/monitoring", {"monitoring": True}, None, {"monitoring": bool})
        self._monitoring_told = True

    def _away(self, error: RecoveryError) -> None:
        """Tries again soon, then ever more seldom; an interval at most, so that a server that is back misses nobody."""
        if self._over is not None:
            return
        if self._failures == 0:
            until = "it takes them" if isinstance(error, RequestRefused) else "it can be reached"
            _log.warning("trainguard: %s; the training goes on, and heartbeats as soon as %s", error, until)
        self._failures += 1
        longest = min(self._interval, 0.2 * 2 ** min(self._failures, 20))
        pause = longest * _random.uniform(0.5, 1)
        # the training itself waits for each try; one that failed may have been a moment's
        if self._failures > 1 and (not self._monitoring or self._no_thread):
            pause = max(pause, 20 * self._took)
        self._not_before = time.monotonic() + pause

    def _reached(self) -> None:
        if self._failures > 0:
            _log.warning("trainguard: %s answers again", self._server.url)
        self._failures, self._not_before = 0, 0.0

    # -- the rest

    def _ask(
        self,
        method: str,
        path: str,
        body: Union[Dict[str, Any], bytes, None] = None,
        patience: Optional[float] = None,
        fields: Optional[Dict[str, Any]] = None,
    ) -> Any:
        """Without patience it is tried once, for an interval at most. @param fields what the answer is to hold"""
        # the same for each try: what was done already is not done twice
        headers = {} if method == "GET" or path == "/v1/heartbeats" else {"Idempotency-Key": uuid.uuid4().hex}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body, allow_nan=False).encode()
        timeout = self._server.timeout if patience is not None else min(self._server.timeout, max(self._interval, 2))
        return _patiently(
            lambda: self._read(method, path, self._request(method, path, data, headers, timeout), fields or {}),
            patience or 0,
        )

    def _read(self, method: str, path: str, answer: "_Answer", fields: Dict[str, Any]) -> Any:
        try:
            said = answer.json()
        except (ValueError, RecursionError):
            said = None
        if answer.body if method == "DELETE" else not _has(said, fields):
            raise self._stranger("%s %s answered as no `trainguard serve` does" % (method, self._server.url + path))
        self._met = True
        return said

    def _stranger(self, said: Any) -> ServerUnavailable:
        """A proxy, another program, a wrong path: to wait for the server helps where it has answered before."""
        return (ServerUnavailable if self._met else _WrongAddress)("%s (is the URL right?)" % said)

    def _request(self, *request: Any) -> "_Answer":
        if self._over is not None:
            raise RequestRefused(410, self._over)
        began = time.monotonic()
        try:
            return self._server.request(*request)
        except ServerUnavailable:
            self._took = time.monotonic() - began
            raise
        except RequestRefused as error:
            if not _is_own(error) or (error.status == 410 and "/attempts/" not in self._server.url):
                raise self._stranger(error) from None
            if error.status == 410 and self._over is None:
                self._over = str(error)
                for worker in list(self._workers.values()):
                    worker.go_on = False
                _log.error("trainguard: the workers of this process are told to stop: %s", error)
            raise

    def _worker(self, worker_id: str) -> "_Worker":
        with self._lock:
            worker = self._workers.get(worker_id)
        if worker is not None:
            return worker
        _check_worker_id(worker_id)
        # left behind by an earlier life of this worker, on this machine
        made = _Worker(worker_id, self._spool.newest(worker_id) is not None)
        with self._lock:
            return self._workers.setdefault(worker_id, made)

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._monitoring and self._beating is None and self._workers:
                self._stop = threading.Event()
                thread = threading.Thread(
                    target=self._beat, args=(self._stop,), name="trainguard-heartbeats", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:  # heartbeat asks by itself until there is room
                    if not self._no_thread:
                        _log.warning("trainguard: no thread can beat for the workers: %s", error)
                    self._no_thread = True
                    return
                self._beating, self._no_thread = thread, False

    def _has_thread(self) -> bool:
        return self._beating is not None and self._beating.is_alive()

    def _is_away(self) -> bool:
        """As far as is known without asking. A thread finds out by itself when that is over."""
        waits = self._has_thread() or time.monotonic() < self._not_before
        return self._failures > 0 and self._over is None and waits

    def _after_fork(self) -> None:
        """In the child: locks may be held by threads that are not here, and the workers are the parent's."""
        self._lock, self._stop, self._beating, self._sending = threading.RLock(), threading.Event(), None, None
        self._workers = {}
        self._server.close()

    def _last_report(self, until: float) -> None:
        """As the process ends: what the last interval brought. For a server that answers; to a second or so."""
        if not self._may_tell():
            return
        self._stop.set()
        self._server.timeout = min(self._server.timeout, max(0.1, until - time.monotonic()))
        self._tell_last(list(self._workers.values()), until)

    def _may_tell(self) -> bool:
        return self._monitoring is not False and self._over is None and self._failures == 0

    def _tell_last(self, workers: List["_Worker"], until: float) -> None:
        with self._lock:
            workers = [worker for worker in workers if worker.known and worker.moved != worker.told]
            said = [_Said(worker, worker.moved, worker.as_json()) for worker in workers]
        for some in _in_requests(said):
            if time.monotonic() < until:
                self._say(some)


class _Worker:
    """What this process knows of a worker; the manager's lock guards what heartbeats change."""

    def __init__(self, worker_id: str, unsent: bool) -> None:
        self.worker_id = worker_id
        self.fields: Dict[str, Any] = {}
        self.batch: Optional[int] = None
        self.phases: Dict[Any, Tuple[str, float]] = {}  # what it is in, and until when; by None: heartbeat's word
        self.moved = 0  # counts its progress, ...
        self.told = 0  # ... of which the server knows so much
        self.sent_at = -math.inf
        self.unreached_since: Optional[float] = None  # what it said could not be told from then on
        self.asked = False  # heartbeat was called for it
        self.ours = False  # registered by this process
        self.known = False  # registered, as far as the server said
        self.go_on = True
        self.plain = False  # the server refused what it said besides
        self.left_out: Set[str] = set()  # what it said that cannot be told, as was logged
        self.registering = threading.RLock()
        self.saving = threading.RLock()
        self.newest: Optional[str] = None  # name of the newest checkpoint that the server told of
        self.unsent = unsent  # a checkpoint is kept here that the server has not got
        self.send_not_before = 0.0

    def take(self, state: Optional[Dict[str, Any]]) -> None:
        state = {} if state is None else state
        if not isinstance(state, collections.abc.Mapping):
            raise TypeError('the state of a worker is a dict such as {"current_batch": 7}, not %.60r' % (state,))
        batch = state.get("current_batch", state.get("currentBatch"))
        if batch is not None:
            batch = _whole("current_batch", batch)
        fields: Dict[str, Any] = {}
        for name in (*(name for name in _BEAT_FIELDS_FIRST if name in state), *state):
            value = state[name]
            if name in _BEAT_OWN or not isinstance(name, str) or value is None:
                continue
            plain = _plain(value)
            if plain is not None:
                fields[name] = plain
            elif name not in self.left_out and len(self.left_out) < 100:
                self.left_out.add(name)
                _log.warning(
                    "trainguard: heartbeats of %s leave %.100r out: it is no number and no text here, but %.60r",
                    self.worker_id,
                    name,
                    value,
                )
        phase = state.get("phase")
        self.phases.pop(None, None)
        if phase is not None and phase != "train":
            self.phases[None] = str(phase)[:100], time.monotonic() + 3600
        # what names no batch is progress by the caller's word
        if batch is None or batch != self.batch or fields.get("step") != self.fields.get("step"):
            self.moved += 1
        self.fields = fields
        self.batch = self.batch if batch is None else batch

    def phase(self) -> Optional[str]:
        now = time.monotonic()
        return next((name for name, ends in self.phases.values() if now < ends), None)

    def news(self) -> bool:
        return (self.ours or self.asked) and (self.moved != self.told or self.phase() is not None)

    def due(self, age: float) -> bool:
        """Whether there is something to say, and the last word is so many seconds old."""
        return (self.ours and not self.known) or (self.news() and time.monotonic() - self.sent_at >= age)

    def as_json(self) -> bytes:
        return json.dumps(self.beat(), allow_nan=False, separators=(",", ":")).encode()

    def beat(self) -> Dict[str, Any]:
        beat: Dict[str, Any] = {"workerId": self.worker_id}
        if self.batch is not None:
            beat["currentBatch"] = self.batch
        phase = self.phase()
        if phase is not None:
            beat["phase"] = phase
        if not self.plain:
            beat.update(self.fields)
        if self.unreached_since is not None:  # the silence was the line's, and no failure of the worker's
            beat["unreachedSeconds"] = round(min(time.monotonic() - self.unreached_since, _LONGEST), 3)
        return beat


class _Said(NamedTuple):
    """A heartbeat on its way."""

    worker: _Worker
    moved: int
    beat: bytes


class _Spool:
    """Checkpoints on this machine's disk, named as the server names its own: the stamp orders them, the digest proves
    them."""

    def __init__(self, directory: str, keep: int) -> None:
        self.directory, self.keep = os.path.abspath(directory), keep

    def write(self, worker_id: str, data: bytes, newest: Optional[str]) -> str:
        """Settled on the disk when it returns. @param newest a name that the new one is to come after"""
        folder = self._folder(worker_id)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        stamp, counter = _stamp(time.time()), 0
        for before in [newest] + self._names(worker_id)[-1:]:
            # a clock that went back must not make the newest an old one
            if before is not None and (stamp, counter) <= _order(before):
                stamp, counter = _order(before)[0], _order(before)[1] + 1
        name = "%s-%06d.%s.json" % (stamp, counter, hashlib.sha256(data).hexdigest())
        path, temporary = os.path.join(folder, name), os.path.join(folder, ".%s.%d" % (uuid.uuid4().hex, os.getpid()))
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        for entered in (folder, os.path.dirname(folder), self.directory):
            _fsync_folder(entered)
        self._prune(folder, self._names(worker_id))
        return path

    def newest(self, worker_id: str) -> Optional[str]:
        """By its name alone."""
        names = self._names(worker_id)
        return os.path.join(self._folder(worker_id), names[-1]) if names else None

    def read_newest(self, worker_id: str, before: Optional[str] = None) -> Optional[Tuple[str, bytes]]:
        """Path and bytes of the newest that is what its name says; damaged ones are passed over and left where they
        are. @param before a name: only what is older counts"""
        for name in reversed(self._names(worker_id)):
            if before is not None and _order(name) >= _order(before):
                continue
            path = os.path.join(self._folder(worker_id), name)
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:  # put aside in this moment
                continue
            if _is_whole(name, data):
                return path, data
            _log.warning("trainguard: %s is damaged and passed over", path)
        return None

    def check_some_whole(self, worker_id: str) -> None:
        """For where `read_newest` found none. Raises RecoveryError if there are some all the same."""
        names = self._names(worker_id)
        if names:
            raise RecoveryError(
                "all %d checkpoints of %s in %s are damaged (the newest is %s); move them away to begin anew"
                % (len(names), worker_id, self._folder(worker_id), names[-1])
            )

    def trouble(self) -> Optional[OSError]:
        """What keeps checkpoints from being written here; nothing is left behind by asking."""
        folder = self.directory
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        try:
            os.rmdir(tempfile.mkdtemp(prefix=".trainguard-", dir=folder))
        except OSError as error:
            return error
        return None

    def put_aside(self, worker_id: str) -> None:
        """The server has these, or a newer one: they are kept, but count no more."""
        names = self._names(worker_id)
        if names:
            sent = self._folder(worker_id, "sent")
            os.makedirs(sent, mode=0o700, exist_ok=True)
            for name in names:
                os.replace(os.path.join(self._folder(worker_id), name), os.path.join(sent, name))
            self._prune(sent, sorted((name for name in os.listdir(sent) if _FILE_NAME.fullmatch(name)), key=_order))

    def _prune(self, folder: str, names: List[str]) -> None:
        for name in names[: -self.keep]:
            with contextlib.suppress(FileNotFoundError):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    whole = _is_whole(name, file.read())
                if whole:  # a damaged one is for whoever looks into it
                    os.unlink(path)

    def _names(self, worker_id: str) -> List[str]:
        try:
            names = os.listdir(self._folder(worker_id))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((name for name in names if _FILE_NAME.fullmatch(name)), key=_order)

    def _folder(self, worker_id: str, part: str = "unsent") -> str:
        """Below the worker's own, so that a server with the same folder for its checkpoints loses none of them."""
        name = worker_id
        if name != name.lower():  # ids that differ in case alone stay apart on a disk that takes these for the same
            name += "~" + hashlib.sha256(worker_id.encode()).hexdigest()[:8]
        return os.path.join(self.directory, name, part)


class _Answer(NamedTuple):
    headers: Any
    body: bytes

    def json(self) -> Any:
        """Raises ValueError and RecursionError."""
        return json.loads(self.body) if self.body else None


class _Server:
    """Requests over connections that are kept; as many as there are threads that ask at once."""

    def __init__(self, url: Optional[str], token: Optional[str], ca: Optional[str], timeout: float) -> None:
        for name, given in (("url", url), ("token", token), ("ca", ca)):
            if given is not None and not (isinstance(given, str) and given.strip()):
                raise ValueError("%s is to be a text, or left out, not %.60r" % (name, given))
        self._url = (url or os.environ.get("TRAINGUARD_URL") or "").rstrip("/")
        self.timeout = timeout
        self._token = (token or os.environ.get("TRAINGUARD_TOKEN") or "").strip()
        self._token_file = None if self._token else os.environ.get("TRAINGUARD_TOKEN_FILE")
        if self._token_file:  # a training may change its folder
            self._token_file = os.path.abspath(self._token_file)
        if not self._url or not (self._token or self._token_file):
            missing = "TRAINGUARD_TOKEN_FILE (or TRAINGUARD_TOKEN)" if self._url else "TRAINGUARD_URL"
            raise RecoveryError("set %s to what `trainguard serve` printed, or pass url= and token=" % missing)
        address = urllib.parse.urlsplit(self._url)
        try:
            port = address.port or {"http": 80, "https": 443}[address.scheme]
        except (ValueError, KeyError):
            port = None
        if port is None or not address.hostname:
            source = "url" if url else "TRAINGUARD_URL"
            raise RecoveryError("%s is to be http://HOST:PORT or https://HOST:PORT, not %s" % (source, self._url))
        self._scheme, self._host, self._path = address.scheme, address.hostname, address.path
        self._port = self._first_port = port
        self._tls: Optional[ssl.SSLContext] = None
        ca = ca or os.environ.get("TRAINGUARD_CA") or None
        if address.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError) as error:
                source = "ca" if ca is not None and ca != os.environ.get("TRAINGUARD_CA") else "TRAINGUARD_CA"
                raise RecoveryError("%s: %s cannot be read: %s" % (source, ca, error)) from None
        if self._token_file:
            self._read_token()
        self._idle: Deque[http.client.HTTPConnection] = collections.deque()
        weakref.finalize(self, _close_all, self._idle)

    @property
    def url(self) -> str:
        host = "[%s]" % self._host if ":" in self._host else self._host
        return "%s://%s:%d%s" % (self._scheme, host, self._port, self._path)

    def request(
        self,
        method: str,
        path: str,
        body: Optional[bytes] = None,
        headers: Optional[Dict[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> _Answer:
        """Raises ServerUnavailable and RequestRefused, nothing else."""
        timeout = timeout or self.timeout
        try:
            status, answer = self._exchange(method, path, body, headers or {}, timeout)
        except ServerUnavailable:
            if not self._look_again():
                raise
            status, answer = self._exchange(method, path, body, headers or {}, timeout)
        if status == 401 and self._token_file:  # it may have been given a new one, or another answers at its port
            with contextlib.suppress(RecoveryError):
                self._read_token()
            self._look_again()
            status, answer = self._exchange(method, path, body, headers or {}, timeout)
        if 200 <= status < 300:
            return answer
        said = "%s %s answered %d: %s" % (method, self.url + path, status, _detail(answer.body))
        if status in (408, 429) or status >= 500:
            raise ServerUnavailable(said)
        raise RequestRefused(status, said, answer.headers)

    def _look_again(self) -> bool:
        """A server that was started anew may have another port, which it tells beside its token; whatever that says,
        the token goes to the same host as ever. False: there is no other port to try."""
        port = self._first_port
        if self._token_file:
            try:
                with open(os.path.join(os.path.dirname(self._token_file), "server.json"), encoding="utf-8") as file:
                    port = int(json.load(file)["port"])
            except (OSError, ValueError, KeyError, TypeError):
                pass  # it is not there, or being written
        if port == self._port:
            port = self._first_port
        if port == self._port:
            return False
        self._port = port
        _close_all(self._idle)
        return True

    def _exchange(
        self, method: str, path: str, body: Optional[bytes], headers: Dict[str, str], timeout: float
    ) -> Tuple[int, _Answer]:
        headers = dict(headers, Authorization="Bearer %s" % self._token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        while True:
            try:
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._connection(), False
            try:
                connection.timeout = timeout
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                cut_off = False
                try:
                    connection.request(method, self._path + path, body, headers)
                except (BrokenPipeError, ConnectionResetError):
                    if connection.sock is None:
                        raise
                    cut_off = True  # it may have refused what is too large without reading it all
                response = connection.getresponse()
                answer = _Answer(response.headers, response.read())
                if cut_off:
                    connection.close()
                    return response.status, answer
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # a server that was started anew knows nothing of the connections to the old one
                if kept and not isinstance(error, socket.timeout):
                    continue
                raise self._unreachable(error, timeout) from error
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            return response.status, answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port)

    def _unreachable(self, error: Exception, timeout: float) -> ServerUnavailable:
        why = str(error) or type(error).__name__
        hint, wrong = "", False
        if isinstance(error, ssl.SSLCertVerificationError):
            hint, wrong = "; " + _CERTIFICATES.get(error.verify_code, "TRAINGUARD_CA names whom to trust"), True
        elif isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            hint, wrong = "; does it speak http, not https?", True
        elif self._tls is None and not isinstance(error, (socket.timeout, ConnectionRefusedError, socket.gaierror)):
            if self._speaks_tls(timeout):
                hint, wrong = "; it speaks https, not http", True
        said = "%s cannot be reached (%s%s)" % (self.url, why, hint)
        return _WrongAddress(said) if wrong else ServerUnavailable(said)

    def _speaks_tls(self, timeout: float) -> bool:
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # nothing is sent to it
        try:
            with socket.create_connection((self._host, self._port), min(timeout, 2)) as plain:
                anyone.wrap_socket(plain).close()
        except OSError:
            return False
        return True

    def _read_token(self) -> None:
        try:
            with open(str(self._token_file), encoding="ascii") as file:
                self._token = file.read().strip()
        except FileNotFoundError:
            raise RecoveryError(
                "TRAINGUARD_TOKEN_FILE: there is no %s: has `trainguard serve` been started there?" % self._token_file
            ) from None
        except (OSError, ValueError) as error:
            raise RecoveryError("TRAINGUARD_TOKEN_FILE cannot be read: %s" % error) from None

    def close(self) -> None:
        """After a fork: closes our ends alone, the parent goes on with its own."""
        _close_all(self._idle)


def _close_all(connections: Deque[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


@dataclasses.dataclass
class RecoveryContext:
    """What a training knows of itself when it fails; a dict with these keys will do. What else it holds is let be."""

    run_id: Optional[str] = None
    attempt: int = 0
    step: Optional[int] = None
    epoch: Optional[float] = None
    model_id: Optional[str] = None
    last_checkpoint_path: Optional[str] = None
    error: Any = None
    worker_id: Optional[str] = None
    state: Any = None  # of the checkpoint that was rolled back to


class RecursiveTrainingRecovery:
    """Tries a failed training again as the server's policy says: it knows the kinds of failure, and what helps.

    config, in snake_case or camelCase (ValueError for what is wrong with it):
        retry              retry(context) trains again. It failed if it raises or returns False
        max_retries        times that `retry` is called, at most, without the training getting further (3, up to 1000):
                           with a step in the context that is beyond those of all failures before, and a newer
                           checkpoint if it has any
        rollback_enabled   whether the newest checkpoint that verifies may be put into the context (True)
        backoff            {"initial": 10, "factor": 2, "max": "5m", "jitter": 0.25}: before a retry; times in seconds,
                           or as "100ms", "30s", "5m", "2h"
        wait_for_server    how long a server that is away is asked again before `recover` gives up ("2h")
        strategies         by kind of failure, instead of the policy's: {"gpu-memory": {"retry": True, "rollback": True,
                           "prepare": halve_the_batch}}; prepare(context, decision) is called before `retry`
        manager            the RecoveryManager by which to ask (one of its own unless given)
    """

    def __init__(self, config: Optional[Dict[str, Any]] = None) -> None:
        given = {_snake(name): value for name, value in (config or {}).items()}
        known = ("max_retries", "rollback_enabled", "backoff", "retry", "strategies", "wait_for_server", "manager")
        for name in given:
            if name not in known:
                raise ValueError("config has no %s; it has %s" % (name, ", ".join(known)))
        self._max_retries = _whole("max_retries", given.get("max_retries", 3), _HISTORY)
        self._rollback_enabled = _flag("rollback_enabled", given.get("rollback_enabled", True))
        self._backoff = _checked_backoff(given.get("backoff"))
        self._wait = _seconds("wait_for_server", given.get("wait_for_server", "2h"))
        retry = given.get("retry")
        if retry is None or not callable(retry):
            raise ValueError("config has no retry: give it the function that trains again")
        self._retry: Callable[[Any], Any] = retry
        self._strategies: Dict[str, Dict[str, Any]] = given.get("strategies") or {}
        if not isinstance(self._strategies, dict):
            raise ValueError("strategies is to be a dict by kind of failure, not %.60r" % (self._strategies,))
        for kind, strategy in self._strategies.items():
            _check_strategy(kind, strategy)
        self._manager: RecoveryManager = given.get("manager") or RecoveryManager()
        self._one_at_a_time = threading.RLock()
        self._retrying = False
        self._history: List[Dict[str, Any]] = []
        self._furthest: Tuple[Optional[str], Optional[int]] = (None, None)  # checkpoint and step at any failure
        self._gone_back: Optional[Tuple[str, str, str]] = None  # kind, worker, checkpoint
        self._in_vain: Set[str] = set()  # checkpoints from which the same failure came again
        self._in_a_row = 0  # failures that a checkpoint may bring back, with nothing newer saved
        self._status: Optional[str] = None
        self._attempts = 0
        self._reasons: List[str] = []

    def recover(self, error: Union[BaseException, str], context: Any = None) -> bool:
        """Retries until one succeeds (True), or the policy gives up (False). Whatever a retry raises is judged in its
        turn, but KeyboardInterrupt and SystemExit pass.

        `context` (RecoveryContext, dict or an object of yours) is handed to each retry, with error, attempt and, after
        a rollback, last_checkpoint_path and state set; keep its step current. Raises ValueError (from `error`) for a
        context that is none. Called from within a retry it raises `error`, so that retries never multiply.
        """
        context = {} if context is None else context
        try:
            _check_context(context)
        except ValueError as wrong:
            raise wrong from (error if isinstance(error, BaseException) else None)
        with self._one_at_a_time:
            if self._retrying:
                raise error if isinstance(error, BaseException) else RecoveryError(error)
            self._retrying, self._attempts, self._reasons = True, 0, []
            recovered = False
            try:
                recovered = self._until_cured(error, context, _number(context, "attempt") or 0)
            finally:
                # of what was cured only its coming back counts; who gave up and is called again begins anew
                self._history = [dict(one, cured=True) for one in self._history[-50:]] if recovered else []
                if not recovered:
                    self._furthest = None, None
                self._gone_back, self._in_vain, self._in_a_row = None, set(), 0
                self._retrying, self._status = False, "success" if recovered else "failed"
            return recovered

    def rollback_to_safe_state(self, context: Any) -> bool:
        """Puts the newest checkpoint that verifies of the context's worker_id, model_id or run_id (the first that has
        one) into it, as last_checkpoint_path and state. False: there is none. Raises ServerUnavailable."""
        _check_context(context)
        return self._roll_back(context) is not None

    def _roll_back(self, context: Any) -> Optional[str]:
        """@returns the worker whose checkpoint it was"""
        for worker_id in _workers_of(context):
            found = self._manager._load(worker_id)
            if found is not None:
                _put_checkpoint(context, found)
                return worker_id
        return None

    def _go_back(self, kind: str, context: Any, saved: bool) -> None:
        """Where the same failure comes again with nothing newer saved, the checkpoint itself may be the trouble: an
        older one is taken than the last time. Where there is none, the third such failure in a row is the last.
        Raises RecoveryError then."""
        self._in_a_row = (0 if saved else self._in_a_row) + 1 if kind in _IN_CHECKPOINTS else 0
        if self._in_a_row > 1 and self._gone_back is not None and self._gone_back[0] == kind:
            _, worker_id, name = self._gone_back
            self._in_vain.add(name)
            older = self._patiently(lambda: self._older(worker_id, name))
            if older is not None:
                _put_checkpoint(context, older)
                self._gone_back = kind, worker_id, os.path.basename(older[1])
                self._note("%s did not help: back to one before it, %s" % (name, self._gone_back[2]))
                return
            if self._in_a_row >= 3:
                raise RecoveryError("%s did not help, and there is no checkpoint before it that was not tried" % name)
            self._note("there is no checkpoint before %s" % name)
        found = self._patiently(lambda: self._roll_back(context))
        if found is not None:
            self._gone_back = kind, found, os.path.basename(_get(context, "last_checkpoint_path"))
            return
        self._note("there is no checkpoint to go back to")
        _log.warning("trainguard: there is no checkpoint to go back to (of %s); retried as it is", _whose(context))

    def _older(self, worker_id: str, name: str) -> Optional[Tuple[Any, str]]:
        found = self._manager._load(worker_id, name)
        while found is not None and os.path.basename(found[1]) in self._in_vain:
            found = self._manager._load(worker_id, found[1])
        return found

    def _note(self, reason: str) -> None:
        self._reasons.append(reason)

    def _patiently(self, call: Callable[[], _T]) -> _T:
        """A training is not given up because the server is away."""
        until, told, pause = time.monotonic() + self._wait, -math.inf, 0.1
        while True:
            try:
                return call()
            except ServerUnavailable as error:
                now = time.monotonic()
                if now >= until:
                    raise
                if now - told >= 60:
                    _log.warning("trainguard: asked again for up to %.0f s: %s", until - now, error)
                    told = now
            time.sleep(min(until - now, pause * _random.uniform(0.5, 1)))
            pause = min(2 * pause, 5)

    def get_recovery_status(self) -> Dict[str, Any]:
        """Of the newest `recover`: last_recovery_status ("success", "failed"; None before the first), attempts,
        reasons."""
        return {"last_recovery_status": self._status, "attempts": self._attempts, "reasons": list(self._reasons)}

    def _until_cured(self, error: Union[BaseException, str], context: Any, first: int) -> bool:
        while True:
            _put(context, "error", error)
            try:
                with self._waiting(context):
                    decision = self._judge(error, context)
                    if not decision["retry"]:
                        return False
                    _let_go(error)
                    time.sleep(decision["delayMs"] / 1000)
            except RecoveryError as trouble:
                self._note("gave up: %s" % trouble)
                return False
            self._attempts += 1
            _put(context, "attempt", first + self._attempts)
            try:
                prepare = self._strategies.get(decision["kind"], {}).get("prepare")
                if prepare is not None:
                    prepare(context, decision)
                if self._retry(context) is not False:
                    return True
                error = "the retry returned False"
            except Exception as raised:
                error = raised

    @contextlib.contextmanager
    def _waiting(self, context: Any) -> Iterator[None]:
        """A worker whose training waits for us is not silent; each wait has a bound of its own."""
        with contextlib.ExitStack() as phases:
            for worker_id in _workers_of(context):
                phases.enter_context(self._manager.phase(worker_id, "startup", _LONGEST))
            yield

    def _judge(self, error: Union[BaseException, str], context: Any) -> Dict[str, Any]:
        saved = self._patiently(lambda: self._note_progress(context))
        decision = self._patiently(lambda: self._decide(error, _number(context, "step")))
        self._remember(decision, _number(context, "step"))
        self._note("%s; %s%s" % (decision["reason"], "" if decision["retry"] else "gave up: ", decision["why"]))
        if decision["rollback"]:
            self._go_back(decision["kind"], context, saved)
        return decision

    def _note_progress(self, context: Any) -> bool:
        """Failures are cured once the training got further than at any of them: its step is beyond theirs, and it saved
        a newer checkpoint if it has any. One alone proves nothing: who resumes at 100 and fails at 105 saves 101 anew
        each time.

        @returns whether a newer checkpoint was saved"""
        names = [name for name in map(self._manager._newest, _workers_of(context)) if name is not None]
        newest, step = max(names, key=_order, default=None), _number(context, "step")
        newest_before, step_before = self._furthest
        saved = newest is not None and (newest_before is None or _order(newest) > _order(newest_before))
        if step is not None and step_before is not None and step > step_before and (saved or newest is None):
            self._history = [dict(one, cured=True) for one in self._history]
        elif saved and newest_before is not None and step is None:
            self._note("whether it got further cannot be told: the context has no step")
        elif saved and newest_before is not None and step_before is not None:
            self._note(
                "a newer checkpoint is there, but the context's step is not beyond that of earlier failures: the "
                "retries are not counted anew; keep its step current"
            )
        self._furthest = (
            max((name for name in (newest, newest_before) if name), key=_order, default=None),
            max((number for number in (step, step_before) if number is not None), default=None),
        )
        return saved

    def _decide(self, error: Union[BaseException, str], step: Optional[int]) -> Dict[str, Any]:
        request: Dict[str, Any] = {
            "error": _error_report(error),
            "history": self._history[-_HISTORY:],
            "maxRetries": self._max_retries,
            "rollbackEnabled": self._rollback_enabled,
            "rules": {
                kind: {name: rule[name] for name in ("retry", "rollback")}
                for kind, rule in self._strategies.items()
                if "retry" in rule
            },
        }
        if self._backoff is not None:
            request["backoff"] = self._backoff
        if step is not None:
            request["step"] = step
        try:
            decision: Dict[str, Any] = self._manager._ask(
                "POST", "/v1/recovery/decision", request, self._manager._retry_for, _DECISION
            )
            return decision
        except RequestRefused as refused:
            if refused.status not in (400, 413):
                raise
            _log.warning("trainguard: taken for a failure of no known kind, as the server cannot judge: %s", refused)
            return self._decide_here()

    def _decide_here(self) -> Dict[str, Any]:
        """As the server does of a failure that it knows nothing of."""
        used = sum(1 for one in self._history if not one.get("cured"))
        rule = self._strategies.get("unknown", {})
        left, wanted = used < self._max_retries, rule.get("retry", True)
        backoff = dict({"initial": 10, "factor": 2, "max": 300, "jitter": 0.25}, **(self._backoff or {}))
        delay = min(backoff["max"], backoff["initial"] * backoff["factor"] ** min(used, 100))  # more overflows
        why = "retry %d of %d" % (used + 1, self._max_retries) if left else "max_retries are used up"
        return {
            "kind": "unknown",
            "reason": "what happened is not known",
            "why": why if wanted else "the strategy for it says so",
            "retry": left and wanted,
            "rollback": left and wanted and self._rollback_enabled and rule.get("rollback", True),
            "delayMs": round(1000 * delay * (1 + backoff["jitter"] * _random.random())),
        }

    def _remember(self, decision: Dict[str, Any], step: Optional[int]) -> None:
        past = {} if step is None else {"step": step}
        past.update({name: decision[name] for name in ("kind", "fingerprint") if name in decision})
        self._history = self._history + [past]


def _put_checkpoint(context: Any, found: Tuple[Any, str]) -> None:
    _put(context, "state", found[0])
    _put(context, "last_checkpoint_path", found[1])


def _workers_of(context: Any) -> List[str]:
    names = [_get(context, name) for name in ("worker_id", "model_id", "run_id")]
    return list(dict.fromkeys(name for name in names if _WORKER_ID.fullmatch(name or "")))


def _whose(context: Any) -> str:
    """Whose checkpoints were looked for, in words; and who is no worker."""
    said = list(_workers_of(context))
    given = [(name, _get(context, name)) for name in ("worker_id", "model_id", "run_id")]
    for name, value in given:
        if value is not None and value not in said:
            try:
                _check_worker_id(value)
            except ValueError as wrong:
                said.append("%s: %s" % (name, wrong))
    return "; ".join(said) or "no worker: the context has no worker_id, model_id or run_id"


def _checked_backoff(backoff: Any) -> Optional[Dict[str, float]]:
    """In seconds, as the server takes it."""
    if backoff is None:
        return None
    keys = ("initial", "factor", "max", "jitter")
    if not isinstance(backoff, dict) or not set(backoff) <= set(keys):
        raise ValueError("backoff is to be a dict of %s, not %.100r" % (", ".join(keys), backoff))
    checked = {name: _seconds("backoff: " + name, backoff[name]) for name in ("initial", "max") if name in backoff}
    for name, least, most in (("factor", 1, 1000), ("jitter", 0, 1)):
        if name in backoff:
            value = backoff[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise ValueError("backoff: %s is to be a number from %d to %d, not %.60r" % (name, least, most, value))
            checked[name] = value
    return checked


def _seconds(name: str, value: Any) -> float:
    seconds: Any = value
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", value)
        seconds = float(found.group(1)) * _UNITS[found.group(2) or "s"] if found else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST:
        raise ValueError(
            "%s is to be a number of seconds, or a time such as '100ms', '30s' or '5m', up to 24 days, not %.60r"
            % (name, value)
        )
    return seconds


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("%s is to be True or False, not %.60r" % (name, value))
    return value


def _check_strategy(kind: str, strategy: Any) -> None:
    if kind not in _KINDS:
        raise ValueError("strategies: there is no kind of failure %s; there are %s" % (kind, ", ".join(_KINDS)))
    if not isinstance(strategy, dict) or not set(strategy) <= {"retry", "rollback", "prepare"}:
        raise ValueError("strategies: %s is to be a dict of retry, rollback and prepare" % kind)
    if ("retry" in strategy) != ("rollback" in strategy):
        raise ValueError("strategies: %s is to say both retry and rollback, or neither" % kind)
    for name in {"retry", "rollback"} & set(strategy):
        _flag("strategies: %s: %s" % (kind, name), strategy[name])
    if not callable(strategy.get("prepare", print)):
        raise ValueError("strategies: %s: prepare is to be a function, not %.60r" % (kind, strategy["prepare"]))


def _check_context(context: Any) -> None:
    try:
        if not isinstance(context, dict):
            _put(context, "error", _get(context, "error"))
    except (AttributeError, TypeError):
        raise ValueError(
            "the context is to be a RecoveryContext, a dict, or an object whose fields can be set, not %.60r"
            % (context,)
        ) from None
    for name in ("run_id", "model_id", "worker_id", "last_checkpoint_path"):
        value = _get(context, name)
        if value is not None and not isinstance(value, str):
            raise ValueError("context: %s is to be a text, not %r" % (name, value))
    epoch = _get(context, "epoch")
    if epoch is not None and (isinstance(epoch, bool) or not isinstance(epoch, (int, float)) or not epoch >= 0):
        _log.warning("trainguard: context: epoch is to be a number from 0 on, not %r; let be", epoch)


def _number(context: Any, name: str) -> Optional[int]:
    """None, and a line in the log, for what is no number: it is not worth a training."""
    value = _get(context, name)
    try:
        return None if value is None else _whole("context: " + name, value)
    except ValueError as error:
        _log.warning("trainguard: %s; let be", error)
        return None


def _get(context: Any, name: str) -> Any:
    if isinstance(context, dict):
        return context.get(name, context.get(_camel(name)))
    return getattr(context, name, None)


def _put(context: Any, name: str, value: Any) -> None:
    if isinstance(context, dict):
        context[_camel(name) if _camel(name) in context else name] = value
    else:
        setattr(context, name, value)


def _camel(name: str) -> str:
    return re.sub(r"_(.)", lambda match: match.group(1).upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match.group(0).lower(), name)


def _let_go(error: Union[BaseException, str]) -> None:
    """What the failed attempt left in its frames, such as a GPU's memory, is free for the next one. Not in frames that
    still run, nor in generators: to clear one that is suspended would end it, and it may be the training's data."""
    rest: List[Any] = [error]
    seen: Set[int] = set()
    while rest:
        one = rest.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if not frame.f_code.co_flags & _MAY_BE_SUSPENDED:
                with contextlib.suppress(RuntimeError):
                    frame.clear()
        rest += [one.__cause__, one.__context__]


def _message(error: Any) -> str:
    try:
        return str(error)[:_MESSAGE_CHARS]
    except Exception as sick:  # it must not replace what the training died of
        return "(its message cannot be had: __str__ raised %s)" % type(sick).__name__


def _error_report(error: Union[BaseException, str]) -> Dict[str, str]:
    if not isinstance(error, BaseException):
        return {"message": _message(error)}
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {
        "type": type(error).__name__[:200],
        "message": _message(error),
        "traceback": "".join(lines)[-_TRACEBACK_CHARS:],
    }


def _patiently(call: Callable[[], _T], seconds: float) -> _T:
    """Calls again while the server is away, after 0.1 s and ever longer up to 5, each between half of it and all."""
    until, pause = time.monotonic() + seconds, 0.1
    while True:
        try:
            return call()
        except _WrongAddress:
            raise
        except ServerUnavailable:
            left = until - time.monotonic()
            if left <= 0:
                raise
        time.sleep(min(left, pause * _random.uniform(0.5, 1)))
        pause = min(2 * pause, 5)


def _plain(value: Any) -> Union[str, int, float, None]:
    """As a heartbeat may say it; of NumPy, or a tensor of one number, too, if it lies on the host. None: not at all."""
    if not isinstance(value, (str, numbers.Real)) and getattr(value, "ndim", None) == 0:
        try:
            device = getattr(value, "device", None)  # of NumPy it is a text, of old versions of JAX a method
            kind = getattr(device, "type", None) or getattr(device, "platform", None)
            if isinstance(kind, str) and kind != "cpu":
                return None  # to fetch it would hold up the training
            value = value.item()
        except Exception:  # it is somebody else's, and not worth a training
            return None
    if isinstance(value, str):
        return value[:_BEAT_TEXT_CHARS]
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value) if abs(int(value)) <= _LARGEST else None
    if not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # a loss of NaN is to be seen, and JSON has no other way to say it
    return number if math.isfinite(number) else str(number)


def _in_requests(said: List[_Said]) -> Iterator[List[_Said]]:
    """In lists that the server takes at once."""
    some: List[_Said] = []
    size = 0
    for one in said:
        if some and (len(some) == _BEATS_A_REQUEST or size + len(one.beat) > _BEAT_BYTES_A_REQUEST):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.beat) + 1
    if some:
        yield some


def _to_json(state: Any) -> bytes:
    """Raises TypeError, and ValueError for what would not come back as it is."""
    if state is None:
        raise ValueError("a checkpoint that is None would be taken for none: save a dict, {} say")
    try:
        data = json.dumps(state, allow_nan=False, separators=(",", ":")).encode()
        if _comes_back(state):
            return data
        raise ValueError("it would not come back")
    except (TypeError, ValueError, RecursionError) as error:
        try:
            where = _not_json(state, "state", 0)
        except RecursionError:
            where = "state is nested too deeply"
        if where is None:
            raise
        raise (TypeError if isinstance(error, TypeError) else ValueError)(
            "a checkpoint is JSON, and %s" % where
        ) from None


def _comes_back(state: Any) -> bool:
    """Whether it is not too deep, and no key of a dict hides another. Level by level: quick where there are a million
    numbers, and a caller deep in the stack is no trouble."""
    level = [state]
    for _ in range(_DEEPEST):
        below: List[Any] = []
        for value in level:
            if isinstance(value, dict):
                if set(map(type, value)) != {str} and len(set(map(_key, value))) < len(value):
                    return False
                value = value.values()
            elif not isinstance(value, (list, tuple)):
                continue
            if any(issubclass(kind, (dict, list, tuple)) for kind in set(map(type, value))):
                below += [part for part in value if isinstance(part, (dict, list, tuple))]
        if not below:
            return True
        level = below
    return False


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _not_json(value: Any, path: str, depth: int) -> Optional[str]:
    """Says where in it the first thing is that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "%s is %s" % (path, value)
    if depth == _DEEPEST and isinstance(value, (dict, list, tuple)):
        return "%s... is nested too deeply, or holds itself" % path[:200]
    if isinstance(value, dict):
        keys: Dict[str, Any] = {}
        for key, part in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                return "%s has the key %r, which is no text" % (path, key)
            other = keys.setdefault(_key(key), key)
            if other is not key:
                return "%s has the keys %r and %r, which are one in JSON" % (path, other, key)
            found = _not_json(part, "%s[%r]" % (path, key), depth + 1)
            if found is not None:
                return found
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            found = _not_json(part, "%s[%d]" % (path, index), depth + 1)
            if found is not None:
                return found
    elif not isinstance(value, (str, int, float, bool, type(None))):
        kind = "%s.%s" % (type(value).__module__, type(value).__qualname__)
        return "%s is a %s (.tolist() makes lists of arrays and tensors)" % (path, kind)
    return None


def _has(said: Any, fields: Dict[str, Any]) -> bool:
    return isinstance(said, dict) and all(isinstance(said.get(name), kind) for name, kind in fields.items())


def _is_own(error: RequestRefused) -> bool:
    """Whether the server itself says so: whom it does not know, and who has no checkpoint, it tells in a header."""
    if error.status == 404:
        return "none" in (error._headers.get("Trainguard-Checkpoint"), error._headers.get("Trainguard-Worker"))
    return error.status in _REFUSALS


def _worker_state(said: Any) -> WorkerState:
    return WorkerState(
        worker_id=said["workerId"],
        status=said["status"],
        last_checkpoint=said.get("lastCheckpoint"),
        failure_count=said["failureCount"],
        last_heartbeat=said["lastHeartbeat"] / 1000,
        current_batch=said["currentBatch"],
    )


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _check_worker_id(worker_id: Any) -> None:
    if not isinstance(worker_id, str) or not _WORKER_ID.fullmatch(worker_id):
        raise ValueError(
            "a worker's id is 1 to 128 letters, digits or . _ : @ - and begins with a letter, a digit or _, not %.60r"
            % (worker_id,)
        )


def _path(worker_id: str, rest: str = "") -> str:
    _check_worker_id(worker_id)
    return "/v1/workers/" + urllib.parse.quote(worker_id, safe="") + rest


def _order(path: str) -> Tuple[str, int]:
    found = _FILE_NAME.fullmatch(os.path.basename(path))
    return (found.group(1), int(found.group(2))) if found else ("", 0)


def _is_whole(name: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == name.split(".")[-2]


def _stamp(seconds: float) -> str:
    return "%s.%03dZ" % (time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds)), int(seconds * 1000) % 1000)


def _content_digest(data: bytes) -> str:
    return "sha-256=:%s:" % base64.b64encode(hashlib.sha256(data).digest()).decode()


def _fsync_folder(folder: str) -> None:
    if os.name != "posix":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError("%s is to be a number of seconds above 0, not %r" % (name, value))
    return value


def _folder(value: Any) -> str:
    path = value.__fspath__() if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or path == "" or "\0" in path:
        raise ValueError("checkpoint_dir is to be the path of a folder, not %.60r" % (value,))
    return path


def _whole(name: str, value: Any, most: int = _LARGEST) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or number < 0:
        raise ValueError("%s is to be a whole number from 0 on, not %.60r" % (name, value))
    if number > most:
        raise ValueError("%s is to be at most %d" % (name, most))
    return number


# managers of this process, for what a fork leaves of them in the child
_managers: "weakref.WeakSet[RecoveryManager]" = weakref.WeakSet()


def _last_reports() -> None:
    until = time.monotonic() + 2
    for manager in list(_managers):
        try:
            manager._last_report(until)
        except Exception as error:  # nothing of ours is to change how a process ends
            _log.info("trainguard: the last step was not told: %s", error)
        manager._server.close()


atexit.register(_last_reports)


def _after_fork() -> None:
    for manager in _managers:
        manager._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
