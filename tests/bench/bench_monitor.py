"""Ten days at 100,000 requests a day: captured, then read, joined with labels and judged by a process of its own.

    python tests/bench/bench_monitor.py [days] [requests a day]

The bound, on two quiet cores: a minute and 1 GB. Writing the captures takes longer and is not counted.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
MEASURE = """
import json, resource, sys, time
from fraud_utils import monitor
start, cpu = time.perf_counter(), time.process_time()
model = monitor.load_model(sys.argv[1])
terms = monitor.Terms(model.thresholds[model.decides], label_delay_days=3)
case = monitor.open_case(model, f"{sys.argv[1]}/captured", f"{sys.argv[1]}/labels.csv", terms)
state = case.verdict().state
json.dump({"rows": int(case.traffic.requests.sum()), "state": state, "weeks": len(case.weeks),
           "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu,
           "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}, sys.stdout)
"""


def main() -> None:
    import monitored

    from fraud_utils import monitor
    from fraud_utils.data import ULB, split_transactions
    from fraud_utils.data.simulate import simulate_transactions

    days, requests = (int(word) for word in [*sys.argv[1:], "10", "100000"][:2])
    split = split_transactions(simulate_transactions(80_000, seed=7), ULB)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = monitored.saved(folder / "model", ULB, split.train, split.test)
        pools = monitor.pools(simulate_transactions(100_000, seed=8), model, ULB)
        plan = monitor.Plan(days, requests, label_delay_days=3)
        monitor.write_traffic(folder, pools[monitor.HEALTHY], None, plan)
        size = sum(file.stat().st_size for file in (folder / "captured").rglob("*.jsonl"))
        done = subprocess.run([sys.executable, "-c", MEASURE, folder], capture_output=True, check=True)
        figures = json.loads(done.stdout)
    print(f"{figures['rows']:,} rows, {size / 1e6:,.0f} MB of JSON lines, {figures['weeks']} week with labels")
    print(
        f"{figures['seconds']:.0f} s, {figures['cpu']:.0f} s CPU, peak {figures['peak_mb']:.0f} MB: {figures['state']}"
    )


if __name__ == "__main__":
    main()
