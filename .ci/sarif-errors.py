"""Fails if the SARIF Multitool found an error in a report: its own exit code speaks of its run, not of what it found."""

import json
import sys

with open(sys.argv[1], encoding="utf-8-sig") as file:
    runs = json.load(file)["runs"]
errors = [result for run in runs for result in run.get("results", []) if result.get("level", "warning") == "error"]
for error in errors:
    print(error["ruleId"], error["message"], error.get("locations", [])[:1])
print(f"{sum(len(run.get('results', [])) for run in runs)} remarks, {len(errors)} errors")
sys.exit(bool(errors))
