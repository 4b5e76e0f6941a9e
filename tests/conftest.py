"""How Hypothesis draws in these tests.

Usually the same examples on every run and every machine: what passes here passes elsewhere, and what fails elsewhere
fails here. `--hypothesis-profile=explore` draws new examples every time, and many more of them (`make explore`).
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "steady",
    derandomize=True,
    # How fast a machine is today is not what the tests are about.
    deadline=None,
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
settings.register_profile(
    "explore",
    settings.get_profile("steady"),
    derandomize=False,
    max_examples=2000,
    stateful_step_count=80,
    print_blob=True,
)
# For `make mutants`: what fails need not be made shorter.
settings.register_profile(
    "mutants",
    settings.get_profile("steady"),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("steady")
