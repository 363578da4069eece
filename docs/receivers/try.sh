#!/usr/bin/env bash
# try.sh: runs the receivers of this folder with the published libraries (from the
# Go proxy, PyPI and npm, kept in .cache/receivers) and sends them requests that
# Aftercall signed. Needs Go, Python 3 with venv, Node, npm, and
# mcs and mono.
set -euo pipefail
cd "$(dirname "$0")/../../pkg"
AFTERCALL_TEST_RECEIVERS=1 exec go test -count=1 -v -run '^TestTheReceiversOfTheDocumentationVerify$' ./webhook
