"""Moto, an S3 with temporary keys that checks every signature as botocore does.

Prints a line of "ENDPOINT KEY SECRET TOKEN" of a role that was assumed, and serves the bucket
"contexts" until its standard input ends.
"""
import json, sys

import boto3
import moto.settings
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"


def client(name):
    return boto3.client(name, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="root",
                        aws_secret_access_key="root")


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


client("s3").create_bucket(Bucket="contexts")
role = client("iam").create_role(
    RoleName="push", AssumeRolePolicyDocument=policy(Action="sts:AssumeRole", Principal={"AWS": "*"}))["Role"]
client("iam").put_role_policy(RoleName="push", PolicyName="push", PolicyDocument=policy(Action="s3:*", Resource="*"))
keys = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="interop")["Credentials"]
moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # from now on it looks at signatures
print(endpoint, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], flush=True)
sys.stdin.read()
server.stop()
