"""Asks parliament and cloudsplaining about IAM policies.

Reads [{"subject", "policy"}] as JSON from standard input and writes
[{"tool", "finding", "subject", "about"}] to standard output: "about" is the action
that the finding is about, or what the tool says where it names no action.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")  # parliament finds its own files in a way that is on the wane

import parliament
from cloudsplaining.command.scan_policy_file import scan_policy
from cloudsplaining.shared.constants import DEFAULT_EXCLUSIONS_CONFIG


def by_parliament(document):
    found = list(parliament_once(document))
    # A statement with an action that parliament does not know ends its look at
    # the whole document: show it the rest, too.
    unknown = {about for finding, about in found if finding in ("UNKNOWN_ACTION", "UNKNOWN_PREFIX")}
    if not unknown:
        return found
    rest = dict(document, Statement=[])
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if known := [a for a in actions if a not in unknown]:
            rest["Statement"].append(dict(statement, Action=known))
    return found + list(parliament_once(rest))


def parliament_once(document):
    # Its private auditors would be files of ours; there are none.
    policy = parliament.analyze_policy_string(
        json.dumps(document), ignore_private_auditors=True, include_community_auditors=True
    )
    for f in policy.findings:
        location = f.location if isinstance(f.location, dict) else {}
        about = f.detail
        if isinstance(about, list):  # of actions, or of actions with the resource they want
            about = [a["action"] if isinstance(a, dict) else a for a in about]
        elif "actions" in location:
            about = location["actions"]
        elif "string" in location:
            about = [location["string"]]
        else:
            about = [str(about)]
        for one in about:
            yield f.issue, one


def by_cloudsplaining(document):
    for finding, result in scan_policy(document, DEFAULT_EXCLUSIONS_CONFIG).items():
        if not isinstance(result, dict):
            continue  # ServicesAffected: the services that the findings are about
        for about in result["findings"]:
            yield finding, about if isinstance(about, str) else about["type"]


findings = [
    {"tool": tool, "finding": finding, "subject": one["subject"], "about": about}
    for one in json.load(sys.stdin)
    for tool, scan in (("parliament", by_parliament), ("cloudsplaining", by_cloudsplaining))
    for finding, about in scan(one["policy"])
]
json.dump(findings, sys.stdout)
