"""A Trainwave API written from the vendor's documents alone, by other hands than client and
simulator, to check both.

The tables hold base units: dollars, ratios, bytes, UTC. `SecondOpinion.truth` copies them, the
dialects convert them to what goes over the wire. "Choice:" marks what the documents leave open.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import fmean
from typing import Any, Literal, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit
from uuid import NAMESPACE_URL, uuid5

Json = Any
Query = dict[str, str]
Dialect = Literal["documented", "deployed"]
LIMIT = 1000  # requests per key and minute
ERRORS = {
    400: {"code": "invalid_request", "message": "The request makes no sense"},
    401: {"code": "invalid_api_key", "message": "The provided API key is invalid or expired"},
    404: {"code": "not_found", "message": "Not found"},
    405: {"code": "method_not_allowed", "message": "Method not allowed"},
    429: {"code": "rate_limit_exceeded", "message": "Too many requests"},
}  # Choice: the documents name no status for an invalid key, and no code for 400, 404 and 405
ORGANIZATIONS = {"o-acme": ("Acme Labs", 1234.56), "o-solo": ("Solo & Söhne", 0.29)}  # dollars
PROJECTS = {"p-abc": ("vision", "o-acme"), "p-def": ("nlp", "o-acme"), "p-zed": ('"x"', "o-solo")}
# id, project, state, dollars, dollars per hour, GPU hours, GPUs, their type, created, minutes until
# started, minutes run, hours from creation to expiry, owner
FLEET = f"""
j-789xyz p-def RUNNING              25.50  2.50   2.50 1 RTX_A5000 03-21T09:00 1     -  4 johndoe
j-2      p-abc RUNNING                  0  0.57      0 1 RTX_A5000 03-28T11:59 1     -  - ada
j-3      p-abc RUNNING               0.07  3.78   0.04 2 A100      03-28T11:58 1     - 24 ada
j-4      p-def RUNNING            1234.56 26.00 379.87 8 H100      03-26T12:30 1     -  - johndoe
j-5      p-def SUBMIT_CODE              0  1.14      0 2 RTX_A5000 03-28T11:59 -     -  - ada
j-6      p-zed LAUNCHING                0  9.75      0 3 H100      03-28T11:55 -     -  1 zoe
j-7      p-zed RUNNING               0.29  7.56   0.15 4 A100      03-28T11:57 1     -  - zoe
j-8      p-abc UPLOADING            19.99  0.57  35.07 1 RTX_A5000 03-27T00:55 2     -  - -
j-9      p-abc SUCCESS               4.35  2.50   1.74 1 RTX_A5000 02-29T23:59 1   104  - ada
j-10     p-abc SUCCESS              16.25 16.25   5.00 5 H100      03-01T00:00 3    60  2 johndoe
j-11     p-def ERROR                    0     -      0 1 RTX_A5000 03-02T08:15 -     -  - ada
j-12     p-def USER_PROCESS_FAILED   0.57  0.57   1.00 1 RTX_A5000 03-02T09:00 1    60  - ada
j-13     p-zed SYSTEM_TERMINATED    90.72 11.34  48.00 6 A100      03-03T10:00 4   480  8 zoe
j-14     p-zed USER_CANCELLED        1.10  3.25   0.34 1 H100      03-04T07:45 2    20  - zoe
j-{"0f" * 24} p-abc SUCCESS 8.20 0.57 14.39 1 RTX_A5000 03-05T06:00 1 863 - johndoe
j-16     p-abc SUCCESS               1.15  0.57   2.02 1 RTX_A5000 03-06T12:00 1   121  - ada
j-17     p-abc SUCCESS               2.30  0.57   4.04 1 RTX_A5000 03-07T12:00 1   242  - ada
j-18     p-abc USER_PROCESS_FAILED   0.01  0.57   0.02 1 RTX_A5000 03-08T12:00 1     1  - ada
j-19     p-def SUCCESS             181.44 13.23  96.00 7 A100      03-09T12:00 9   823  - johndoe
j-20     p-def UPLOADING            64.10 26.00  19.72 8 H100      03-28T09:30 2     -  - johndoe
j-21     p-def LAUNCHING                0  0.57      0 1 RTX_A5000 03-28T11:50 -     -  - ada
j-22     p-def RUNNING              10.03  1.14  17.60 2 RTX_A5000 03-28T03:11 1     -  - johndoe
j-23     p-zed RUNNING              33.33     -  17.63 1 A100      03-27T18:22 1     -  - zoe
j-24     p-zed SYSTEM_TERMINATED   100000 26.00  30769 8 H100      01-01T00:00 1 99999  - zoe
j-25     p-abc ERROR                 0.58  1.71   1.02 3 RTX_A5000 03-13T13:13 1    20  - ada
"""
WORKING = ("SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING")
METRICS = ("cpu", "memory", "network", "gpu_utilization", "gpu_memory", "disk")
# gigabytes of memory and the utilization of each GPU; Choice: no job but these has metrics
LIVE: dict[str, tuple[float, tuple[float, ...]]] = {
    "j-789xyz": (14.3, (0.952,)),
    "j-3": (0.5, (0.931, 0.88)),
    "j-4": (15.75, (0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.0)),
    "j-7": (8.0, (1.0, 1.0, 1.0, 1.0)),
    "j-20": (12.25, (0.0,) * 8),
    "j-23": (16.0, (0.005,)),
}
NAMES = {"j-3": 'say "hi"\nand \\bye\\\n', "j-7": "größer {als} 🚂 = ja, nein", "j-11": None}
ODD: dict[str, dict[str, Json]] = {  # fields no document names, and empty metrics
    "j-2": {"metrics": None},
    "j-5": {"metrics": {}},
    "j-9": {"tags": ["a", None], "labels": {"state": "RUNNING", "total_cost": 1e9}},
    "j-23": {"priority": 3, "status": "completed", "cost": "12 EUR"},
}


@dataclass(frozen=True)
class JobTruth:
    """What a reader of the API ought to know of a job; None where the dialect does not tell it."""

    id: str
    rid: str
    project_id: str
    organization_id: str
    state: str
    cost_dollars: float
    hourly_cost_dollars: float | None
    gpu_hours: float | None
    gpus: int
    gpu_type: str
    name: str | None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    owner: str | None = None  # Choice: of id, email and username the last
    gpu_utilization_ratio: float | None = None  # as the job says; samples are as /metrics/ says
    memory_used_bytes: float | None = None  # likewise
    samples: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # metric, part: value


def _fleet() -> Iterator[JobTruth]:
    for number, line in enumerate(FLEET.strip().splitlines(), 1):
        key, project, state, cost, hourly, hours, gpus, gpu, date, *times, owner = line.split()
        created = datetime.fromisoformat(f"2024-{date}+00:00").timestamp()
        wait, ran, lasts = (None if word == "-" else int(word) for word in times)
        started = None if wait is None else created + wait * 60
        job = JobTruth(
            key, f"training-job-{number}", project, PROJECTS[project][1], state, float(cost),
            None if hourly == "-" else float(hourly), float(hours), int(gpus),
            gpu.replace("_", " "), NAMES.get(key, f"run {number}"), created, started,
            finished_at=None if started is None or ran is None else started + ran * 60,
            expires_at=None if lasts is None else created + lasts * 3600,
            owner=None if owner == "-" else owner,
        )  # fmt: skip
        yield _at_work(job, number, *LIVE[key]) if key in LIVE else job


def _at_work(job: JobTruth, number: int, memory: float, gpus: tuple[float, ...]) -> JobTruth:
    use, size = fmean(gpus), memory * 1e9  # Choice: a gigabyte is 10^9 bytes
    samples = {
        "cpu": {"": number / 40},
        "memory": {"": size},
        "network": {"rx": number * 1000.0, "tx": number * 10.0},
        "gpu_utilization": {str(device): ratio for device, ratio in enumerate(gpus)},
        "gpu_memory": {"": number * 1e9},
        "disk": {"read": 0.0, "write": number * 4096.0},
    }
    return replace(job, gpu_utilization_ratio=use, memory_used_bytes=size, samples=samples)


def _in(unit: float, value: float | None) -> float | None:
    return None if value is None else round(value / unit, 6)


def _iso(seconds: float | None, layout: str = "%Y-%m-%dT%H:%M:%SZ") -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(layout)


class Documented:
    """The dialect of the vendor's reference."""

    stop = "stop"
    filters: tuple[str, ...] = ("org", "project", "status")

    def names(self, key: str, _rid: str | None = None) -> tuple[str, ...]:
        return (key,)

    def tells(self, job: JobTruth) -> JobTruth:
        # Choice: upper case as RUNNING is; whatever ended without success is FAILED
        ended = "COMPLETED" if job.state == "SUCCESS" else "FAILED"
        return replace(job, state="RUNNING" if job.state in WORKING else ended, expires_at=None)

    def reply(self, status: int, data: Json) -> Json:
        if status < 400:
            return {"success": True, "data": data}
        return {"success": False, "error": ERRORS[status]}

    def link(self, url: str, _query: Query, offset: int) -> str:
        return f"{url}?offset={offset}"  # as in the example: all other parameters are dropped

    def listed(self, job: JobTruth) -> Json:
        user = job.owner
        return {
            "id": job.id, "rid": job.rid, "created_at": _iso(job.created_at),
            "state": self.tells(job).state, "project": job.project_id,
            "owner": user and {"id": f"u-{user}", "email": f"{user}@example.org", "username": user},
            "total_cost": job.cost_dollars, "gpu_hours": job.gpu_hours, **self._metrics(job),
        }  # fmt: skip

    def detailed(self, job: JobTruth) -> Json:
        return {
            "id": job.id, "name": job.name, "state": self.tells(job).state,
            "created_at": _iso(job.created_at), "started_at": _iso(job.started_at),
            "finished_at": _iso(job.finished_at), "project": job.project_id, "gpus": job.gpus,
            "gpu_type": job.gpu_type, "cpu_cores": 4, "memory_gb": 16, **self._metrics(job),
            "cost_per_hour": job.hourly_cost_dollars, "total_cost": job.cost_dollars,
        }  # fmt: skip

    def _metrics(self, job: JobTruth) -> dict[str, Json]:
        use, memory = _in(0.01, job.gpu_utilization_ratio), _in(1e9, job.memory_used_bytes)
        used = {"metrics": {"gpu_utilization": use, "memory_usage": memory}} if job.samples else {}
        return {**used, **ODD.get(job.id, {})}

    def named(self, key: str, rid: str | None = None, **more: Json) -> dict[str, Json]:
        return {**dict(zip(("id", "rid"), self.names(key, rid), strict=False)), **more}

    def organization(self, key: str) -> dict[str, Json]:
        # Choice: the only words on the balance anywhere say cents, so it is cents in both dialects
        name, balance = ORGANIZATIONS[key]
        return self.named(key, name=name, computed_credit_balance=round(balance * 100))

    def project(self, key: str, _jobs: Iterable[JobTruth]) -> dict[str, Json]:
        # Choice: the reference shows no project; this is the least there can be
        name, organization = PROJECTS[key]
        return self.named(key, name=name, organization=self.names(organization)[0])

    def sample(self, metric: str, values: Mapping[str, float]) -> Json:
        # Choice: units are those of the job's own metrics, percent and gigabytes; I/O is in bytes
        total, at = values.get("", 0.0), int(time.time()) // 60 * 60  # a point every minute
        shapes: dict[str, Json] = {
            "cpu": _in(0.01, total),
            "gpu_utilization": {device: _in(0.01, ratio) for device, ratio in values.items()},
            "memory": {"timestamp": _iso(at), "value": _in(1e9, total)},
            "gpu_memory": [[at - 60, 0.25], [at, _in(1e9, total)]],
        }
        return shapes.get(metric, values)


class Deployed(Documented):
    """The dialect the vendor's own clients parse."""

    stop = "cancel"
    filters = ("org_id", "org", "project")  # Choice: status is ignored, no document shows it here

    def names(self, key: str, rid: str | None = None) -> tuple[str, ...]:
        return (str(uuid5(NAMESPACE_URL, key)), rid or key)

    def tells(self, job: JobTruth) -> JobTruth:
        ids = (job.id, job.project_id, job.organization_id)
        me, project, organization = (self.names(key)[0] for key in ids)
        job = replace(job, id=me, project_id=project, organization_id=organization, owner=None)
        job = replace(job, started_at=None, finished_at=None, gpu_hours=None)
        return replace(job, gpu_utilization_ratio=None, memory_used_bytes=None)

    def reply(self, status: int, data: Json) -> Json:
        return data if status < 400 else {"detail": ERRORS[status]["message"]}

    def link(self, url: str, query: Query, offset: int) -> str:
        return f"{url}?{urlencode({**query, 'offset': offset})}"  # Choice: here the others are kept

    def listed(self, job: JobTruth) -> Json:
        created = _iso(job.created_at, "%Y-%m-%dT%H:%M:%S.%fZ")
        instance = self.named(f"i-{job.id}", state="RUNNING", provider="x", created_at=created)
        config = {"name": job.name, "expires_at": int(job.expires_at or -1), "interactive": False}
        hardware = {"cpus": 4, "gpus": job.gpus, "gpu_type": job.gpu_type}
        offer = {**hardware, "memory_mb": 16000, "gpu_memory_mb": 24000, "compliance_soc2": True}
        return {
            **self.named(job.id, job.rid), "state": job.state, "created_at": created,
            "total_cost": round(job.cost_dollars * 100), "cost_per_hour": job.hourly_cost_dollars,
            "project": self.named(job.project_id, name=PROJECTS[job.project_id][0]),
            "config": {**self.named(f"c-{job.id}"), **hardware, **config},
            "cloud_offer": offer, "instances": [instance] if job.samples else [], "s3_url": None,
            "url": f"https://trainwave.ai/jobs/{job.rid}", **ODD.get(job.id, {}),
        }  # fmt: skip

    detailed = listed  # Choice: the clients parse one shape

    def project(self, key: str, jobs: Iterable[JobTruth]) -> dict[str, Json]:
        working = [job.state in WORKING for job in jobs if job.project_id == key]
        return {
            **super().project(key, jobs), "created_at": _iso(0), "updated_at": _iso(0), "users": [],
            "active_job_count": sum(working), "total_job_count": len(working),
        }  # fmt: skip


class SecondOpinion(ThreadingHTTPServer):
    """Serves the fleet in one dialect while the context is entered."""

    def __init__(self, *, dialect: Dialect = "documented", key: str = "k-secret") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/api/v1"
        self.dialect = Documented() if dialect == "documented" else Deployed()
        self.balances = {self.dialect.names(o)[0]: money for o, (_, money) in ORGANIZATIONS.items()}
        self.key = key
        self.requests: list[tuple[str, str]] = []
        self.keys_seen: set[str] = set()
        self._jobs = {job.id: job for job in _fleet()}
        self._spent = Counter[tuple[str, int]]()  # requests by key and minute
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def truth(self) -> list[JobTruth]:
        return [self.dialect.tells(job) for job in self._jobs.values()]

    def respond(self, method: str, target: str, key: str, body: bytes) -> tuple[int, Json, Json]:
        minute = int(time.time()) // 60
        with self._lock:
            self.requests.append((method, target))
            self.keys_seen |= {key} - {""}
            self._spent[key, minute] += 1
            left = LIMIT - self._spent[key, minute]
            try:
                status, data = 401 if key != self.key else 429, None
                if key == self.key and left >= 0:
                    status, data = self._answer(method, urlsplit(target), body)
            except LookupError:
                status, data = 404, None
            except (AttributeError, TypeError, ValueError):
                status, data = 400, None
        limits = {"Limit": LIMIT, "Remaining": max(left, 0), "Reset": (minute + 1) * 60}
        return status, self.dialect.reply(status, data), limits

    def _answer(self, method: str, url: SplitResult, body: bytes) -> tuple[int, Json]:
        dialect, jobs, query = self.dialect, self._jobs.values(), dict(parse_qsl(url.query))
        match [method, *unquote(url.path).removeprefix("/api/v1/").split("/")]:
            case ["GET", "jobs", ""]:
                found = [dialect.listed(job) for job in jobs if self._wanted(query, job)]
            case ["POST", "jobs", ""]:
                return 201, self._create(json.loads(body))
            case ["GET", "jobs", name, ""]:
                return 200, dialect.detailed(self._job(name))
            case ["POST", "jobs", name, dialect.stop, ""]:
                return 200, self._stop(self._job(name))
            case ["GET", "projects", ""]:
                keys = [key for key, (_, owner) in PROJECTS.items() if self._fits(query, owner)]
                found = [dialect.project(key, jobs) for key in keys]
            case ["GET", "organizations", ""]:  # Choice: paged like the other lists
                found = [dialect.organization(key) for key in ORGANIZATIONS]
            case ["GET", "metrics", metric, ""] if metric in METRICS:
                samples = self._job(query["job_id"]).samples  # Choice: [] where there are none
                return 200, dialect.sample(metric, samples[metric]) if samples else []
            case [_, "jobs" | "projects" | "organizations", ""] | [_, "jobs", _, dialect.stop, ""]:
                return 405, None
            case [other, "jobs" | "metrics", _, ""] if other != "GET":
                return 405, None
            case _:  # Choice: also a path that does not end in "/"
                return 404, None
        return 200, self._page(url.path, query, found)

    def _fits(self, query: Query, organization: str, **more: tuple[str, ...]) -> bool:
        fields = more | dict.fromkeys(("org", "org_id"), self.dialect.names(organization))
        filters = {*self.dialect.filters} & {*query} & {*fields}
        return all(query[name] in fields[name] for name in filters)

    def _wanted(self, query: Query, job: JobTruth) -> bool:
        state, project = self.dialect.tells(job).state.lower(), self.dialect.names(job.project_id)
        return self._fits(query, job.organization_id, project=project, status=(state,))

    def _job(self, name: str) -> JobTruth:
        jobs = self._jobs.values()
        return {word: job for job in jobs for word in self.dialect.names(job.id, job.rid)}[name]

    def _page(self, path: str, query: Query, found: list[Json]) -> Json:
        limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
        if limit < 1 or offset < 0:
            raise ValueError(query)
        here = self.url.removesuffix("/api/v1") + path
        link, after = partial(self.dialect.link, here, query), offset + limit
        return {
            "count": len(found),
            "next": link(after) if after < len(found) else None,
            "previous": link(max(offset - limit, 0)) if offset else None,
            "results": found[offset:after],
        }

    def _create(self, order: Json) -> Json:
        order |= order.get("config", {})  # flat, or in "config"
        [project] = [key for key in PROJECTS if order.get("project") in self.dialect.names(key)]
        number, gpu = len(self._jobs) + 1, str(order.get("gpu_type", "RTX A5000"))
        self._jobs[f"j-{number}"] = job = JobTruth(
            f"j-{number}", f"training-job-{number}", project, PROJECTS[project][1], "SUBMIT_CODE",
            0.0, None, 0.0, int(order.get("gpus", 1)), gpu, order.get("name"), time.time() // 1,
        )  # fmt: skip
        return self.dialect.detailed(job)

    def _stop(self, job: JobTruth) -> Json:
        if job.state in WORKING:  # Choice: stopping what has ended is no error and changes nothing
            idle = replace(job, gpu_utilization_ratio=None, memory_used_bytes=None, samples={})
            job = replace(idle, state="USER_CANCELLED", finished_at=time.time() // 1)
            self._jobs[job.id] = job
        return self.dialect.detailed(job)


class _Handler(BaseHTTPRequestHandler):
    server: SecondOpinion
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("X-API-KEY", "")
        status, payload, limits = self.server.respond(self.command, self.path, key, body)
        content = json.dumps(payload).encode()
        self.send_response_only(status)  # the one that does not log
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in limits.items():
            self.send_header(f"X-RateLimit-{name}", str(value))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815
