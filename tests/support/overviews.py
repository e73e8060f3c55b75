"""What a page may have to tell when all is at its worst: names that want out of their place."""

from __future__ import annotations

from trainwave_exporter.landing import (
    AccountOverview,
    JobOverview,
    LoopOverview,
    Overview,
    SettingOverview,
    TroubleOverview,
    UnknownOverview,
)

HOSTILE = "</table><script>console.log('x')</script><img src=x onerror=alert(1)>\u202e" + "w" * 300

OVERVIEW = Overview(
    version="1.2.3",
    python="3.11.7",
    started_at=1000,
    now=1012,
    telemetry_path="/metrics",
    accounts=(
        AccountOverview(
            name="research",
            up=False,
            jobs_running=1,
            jobs_known=2,
            requests_used=3,
            allowance=80,
            limit=100,
            error=HOSTILE,
        ),
    ),
    loops=(LoopOverview(account="research", name="sweep", interval=600, error=HOSTILE),),
    jobs=(
        JobOverview(id="j/1?x", name=HOSTILE, account="research", owner=HOSTILE, gpu_type=HOSTILE),
    ),
    jobs_idle=1,
    troubles=(
        TroubleOverview(
            account="research",
            place="jobs",
            outcome="timeout",
            meaning="The API took too long.",
            remedy="Wait.",
            count=3,
            first_at=1001,
            last_at=1011,
        ),
    ),
    unknown=(
        UnknownOverview(
            kind="scope", figure="Name in a setting", name=HOSTILE, reason="x", meaning=HOSTILE
        ),
    ),
    settings=(SettingOverview(name="storage.path", value="/a" * 200, changed=True),),
)
