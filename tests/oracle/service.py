"""A Trainwave API, written from the vendor's texts alone; plays one scenario in one dialect.

Usage: service.py FILE NAME DIALECT: serves the scenario that a module-level name of a Python
file holds, prints a line with its address, and ends when its standard input closes. The clock is
the process's own, so that libfaketime sets the pace.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from oracle.scenario import DEFAULT_READINGS, Dialect, Job, Organization, Project, Scenario, iso

KEY = "oracle-key"
ROOT = "/api/v1"
_STATUS = {"running": "RUNNING", "completed": "COMPLETED", "failed": "FAILED"}


class _Refusal(Exception):  # noqa: N818 - an answer, not a failure
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Documented:
    """Answers as the reference describes them: an envelope, flat jobs, dollars."""

    dialect = Dialect.DOCUMENTED

    def __init__(self, scenario: Scenario) -> None:
        self._names = {project.id: project for project in scenario.projects}

    @staticmethod
    def success(data: Any) -> Any:
        """Return the body of an answer."""
        return {"success": True, "data": data}

    @staticmethod
    def failure(code: str, message: str) -> Any:
        """Return the body of a refusal."""
        return {"success": False, "error": {"code": code, "message": message}}

    def listed(self, job: Job, now: float, cost: float) -> Any:
        """Return a job as the list shows it."""
        metrics = {"gpu_utilization": job.listed_utilization(now), "memory_usage": 4.0}
        return {
            "id": job.id,
            "rid": f"rid-{job.id}",
            "created_at": iso(job.created_at),
            "state": job.state(now, self.dialect),
            "project": job.project,
            "owner": {"id": "u-1", "email": "ada@example.org", "username": "ada"},
            "total_cost": round(cost, 2),
            "gpu_hours": round(job.gpu_hours(now), 4),
            "metrics": metrics if job.is_running(now) else None,
        }

    def detailed(self, job: Job, now: float, cost: float) -> Any:
        """Return a job as its own page shows it."""
        run = job.run(now)
        return {
            "id": job.id,
            "name": f"name-{job.id}",
            "state": job.state(now, self.dialect),
            "created_at": iso(job.created_at),
            "started_at": iso(run.started) if run else None,
            "finished_at": iso(run.finished) if run and run.finished <= now else None,
            "project": job.project,
            "gpu_type": job.gpu_type,
            "gpus": job.gpus,
            "cpu_cores": 4,
            "memory_gb": 16,
            "cost_per_hour": job.price(now) if job.price_shown else None,
            "total_cost": round(cost, 2),
            "metrics": {"gpu_utilization": job.listed_utilization(now), "memory_usage": 4.0},
        }

    @staticmethod
    def project(project: Project, now: float) -> Any:
        """Return a project."""
        name = project.name(now)
        return {
            "id": project.id,
            "rid": f"rid-{project.id}",
            "name": name,
            "organization": project.organization,
        }

    @staticmethod
    def organization(organization: Organization, _: float) -> Any:
        """Return an organization; nothing is documented about a balance."""
        return {"id": organization.id, "rid": organization.id, "name": organization.name}


class Deployed(Documented):
    """Answers as the vendor's own clients parse them: bare, nested jobs, cents."""

    dialect = Dialect.DEPLOYED

    @staticmethod
    def success(data: Any) -> Any:
        """Return the body of an answer."""
        return data

    @staticmethod
    def failure(code: str, message: str) -> Any:
        """Return the body of a refusal."""
        del code
        return {"detail": message}

    def listed(self, job: Job, now: float, cost: float) -> Any:
        """Return a job; list and detail are the same."""
        project = self._names[job.project]
        return {
            "id": job.id,
            "rid": f"rid-{job.id}",
            "state": job.state(now, self.dialect),
            "created_at": iso(job.created_at),
            "project": {
                "id": project.id,
                "rid": f"rid-{project.id}",
                "name": project.name(now),
            },
            "config": {
                "id": f"config-{job.id}",
                "rid": f"config-{job.id}",
                "name": f"name-{job.id}",
                "expires_at": -1,
                "cpus": 4,
                "gpus": job.gpus,
                "gpu_type": job.gpu_type,
                "interactive": False,
            },
            "cloud_offer": {
                "cpus": 4,
                "memory_mb": 16_384,
                "compliance_soc2": False,
                "gpu_type": job.gpu_type,
                "gpu_memory_mb": 81_920,
                "gpus": job.gpus,
            },
            "cost_per_hour": job.price(now) if job.price_shown else None,
            "total_cost": round(cost * 100),
            "instances": [  # those that exist: what was before a run ended is not reported
                {
                    "id": f"{job.id}-{number}",
                    "rid": f"rid-{job.id}-{number}",
                    "state": "RUNNING",
                    "provider": "cloud",
                    "created_at": iso(run.started),
                }
                for number, run in enumerate(job.runs)
                if run.started <= now < run.finished
            ],
            "url": None,
            "s3_url": "",
        }

    def detailed(self, job: Job, now: float, cost: float) -> Any:
        """Return a job; list and detail are the same."""
        return self.listed(job, now, cost)

    @staticmethod
    def project(project: Project, now: float) -> Any:
        """Return a project."""
        return {
            "id": project.id,
            "rid": f"rid-{project.id}",
            "name": project.name(now),
            "active_job_count": 0,
            "total_job_count": 0,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "organization": project.organization,
            "users": [],
        }

    @staticmethod
    def organization(organization: Organization, now: float) -> Any:
        """Return an organization with its balance in cents."""
        return {
            "id": organization.id,
            "rid": organization.id,
            "name": organization.name,
            "computed_credit_balance": round(organization.balance(now) * 100),
        }


class Service:
    """What is answered to each request, and how many are granted in a minute."""

    def __init__(
        self, scenario: Scenario, dialect: Dialect, clock: Callable[[], float] = time.time
    ) -> None:
        self._scenario = scenario
        self._form = (Documented if dialect is Dialect.DOCUMENTED else Deployed)(scenario)
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0.0
        self._used = 0
        self._shown_once: set[str] = set()
        self._requests: Counter[str] = Counter()
        self._jobs = sorted(scenario.jobs, key=lambda job: job.created_at, reverse=True)
        self._by_id = {job.id: job for job in scenario.jobs}

    def answer(
        self, path: str, query: Mapping[str, str], key: str | None
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body of an answer."""
        now = self._clock()
        if path == "/world":  # for the tests, and not part of the API
            return 200, {}, {"now": now, "requests": dict(self._requests)}
        granted, headers = self._grant(now)
        try:
            self._admit(key, granted=granted)
            status, body = 200, self._form.success(self._data(path, query, now))
        except _Refusal as refusal:
            status, body = refusal.status, self._form.failure(refusal.code, str(refusal))
        with self._lock:
            self._requests[f"{path.split('/')[3] if path.startswith(ROOT) else path} {status}"] += 1
        return status, headers, body

    @staticmethod
    def _admit(key: str | None, *, granted: bool) -> None:
        if key != KEY:
            raise _Refusal(401, "invalid_api_key", "The provided API key is invalid or expired")
        if not granted:
            raise _Refusal(429, "rate_limit_exceeded", "Too many requests")

    def _grant(self, now: float) -> tuple[bool, dict[str, str]]:
        limit = self._scenario.requests_per_minute
        with self._lock:
            if not 0 <= now - self._window < 60:
                self._window, self._used = now - now % 60, 0
            granted = self._used < limit
            self._used += granted
            left = limit - self._used
        return granted, {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(int(self._window + 60)),
        }

    def _data(self, path: str, query: Mapping[str, str], now: float) -> Any:
        form, scenario = self._form, self._scenario
        match [unquote(part) for part in path.removeprefix(ROOT).strip("/").split("/")]:
            case ["jobs"]:
                if scenario.list_delay:
                    time.sleep(scenario.list_delay)
                    now = self._clock()
                return self._page(
                    self._selected(query, now),
                    query,
                    "jobs",
                    lambda job: form.listed(job, now, self._cost(job, now)),
                )
            case ["jobs", job_id]:
                job = self._job(job_id, now)
                return form.detailed(job, now, self._cost(job, now))
            case ["projects"]:
                return self._page(
                    scenario.projects, query, "projects", lambda each: form.project(each, now)
                )
            case ["organizations"]:
                return self._page(
                    scenario.organizations,
                    query,
                    "organizations",
                    lambda each: form.organization(each, now),
                )
            case ["metrics", name]:
                job = self._job(query.get("job_id", ""), now)
                reading = job.readings.get(name) or DEFAULT_READINGS.get(name)
                if reading is None or not job.is_running(now):
                    raise _Refusal(404, "not_found", "No such metric")
                return reading(now)
            case ["users", "me"] if form.dialect is Dialect.DEPLOYED:
                return {"id": "u-1", "rid": "ada", "email": "ada@example.org"}
            case ["offers"] if form.dialect is Dialect.DEPLOYED:
                return []
        raise _Refusal(404, "not_found", "Not found")

    def _cost(self, job: Job, now: float) -> float:
        if job.id in self._scenario.absurd_once:
            since, amount = self._scenario.absurd_once[job.id]
            with self._lock:
                if now >= since and job.id not in self._shown_once:
                    self._shown_once.add(job.id)
                    return amount
        return job.total_cost(now)

    def _job(self, job_id: str, now: float) -> Job:
        job = self._by_id.get(job_id.removeprefix("rid-"))
        if job is not None and job.created_at <= now < job.listed_until:
            return job
        raise _Refusal(404, "not_found", "No such job")

    def _selected(self, query: Mapping[str, str], now: float) -> list[Job]:
        organization = query.get("org") or query.get("org_id")
        members = {
            project.id
            for project in self._scenario.projects
            if organization in {None, project.organization}
            and query.get("project") in {None, project.id, f"rid-{project.id}"}
        }
        status = query.get("status") if self._scenario.honours_status else None
        wanted = None if status is None else _STATUS.get(status, "none")
        return [
            job
            for job in self._jobs
            if job.created_at <= now < job.listed_until
            and job.project in members
            and wanted in {None, job.state(now, Dialect.DOCUMENTED)}
        ]

    @staticmethod
    def _page(
        items: Sequence[Any], query: Mapping[str, str], name: str, show: Callable[[Any], Any]
    ) -> Any:
        limit, offset = int(query.get("limit", "20")), int(query.get("offset", "0"))
        link = f"https://backend.trainwave.ai{ROOT}/{name}/?offset="
        return {
            "count": len(items),
            "next": f"{link}{offset + limit}" if offset + limit < len(items) else None,
            "previous": f"{link}{max(0, offset - limit)}" if offset else None,
            "results": [show(item) for item in items[offset : offset + limit]],
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    service: Service

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        status, headers, body = self.service.answer(
            parts.path, query, self.headers.get("X-API-KEY")
        )
        payload = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


def load(file: Path, name: str) -> Scenario:
    """Return the scenario that a file holds under a name."""
    spec = importlib.util.spec_from_file_location("scenario_file", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    scenario = getattr(module, name)
    assert isinstance(scenario, Scenario)
    return scenario


def main(file: str, name: str, dialect: str) -> None:
    """Serve until standard input closes."""
    _Handler.service = Service(load(Path(file), name), Dialect(dialect))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shared = ("LD_PRELOAD", "FAKETIME_SHARED")
        clock = {name: os.environ[name] for name in shared if name in os.environ}
        url = f"http://127.0.0.1:{server.server_port}"
        print(json.dumps({"url": url, "clock": clock}), flush=True)  # noqa: T201
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
