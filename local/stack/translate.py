"""Translates a SAM template to CloudFormation, as AWS does when it is deployed.

Arguments: path of the template, parameter values as JSON.
Prints {"template": ..., "code": {logical id of a function: its CodeUri}}.
"""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """Stands for the list of AWS's managed policies, which is read from IAM."""

    def load(self):
        return {}


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        # YAML reads an unquoted 2012-10-17 as a date; AWS does not.
        template = json.loads(json.dumps(yaml_parse(f), default=str))
    code = {}
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") == "AWS::Serverless::Function":
            code[name] = resource["Properties"].get("CodeUri", "")
            # The translator takes only what is uploaded already.
            resource["Properties"]["CodeUri"] = "s3://local/code"
    translated = transform(template, json.loads(sys.argv[2]), NoManagedPolicies())
    json.dump({"template": translated, "code": code}, sys.stdout)


if __name__ == "__main__":
    main()
