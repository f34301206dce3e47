#!/usr/bin/env bash
# Runs a real LocalStack (SQS, S3, DynamoDB) on this machine, without Docker, from its Python
# packages. DynamoDB is AWS's own DynamoDB Local, which LocalStack starts and stops.
#
#   localstack/host.sh start    set up at first use, start, wait until it answers
#   localstack/host.sh stop     stop it
#   localstack/host.sh status   say whether it runs; exit 1 if not
#   localstack/host.sh env      print the environment for clients: eval "$(localstack/host.sh env)"
#   localstack/host.sh setup    only install
#   localstack/host.sh python   print the Python that it would use; exit 1 if there is none
#
# LOCALSTACK_PORT chooses the port (14566). All is kept under .localstack/ of this repository and
# forgotten by stop, but for the installed packages. Nothing is sent anywhere: telemetry is off.
set -euo pipefail
cd "$(dirname "$0")"
home=$(cd .. && pwd)/.localstack
port=${LOCALSTACK_PORT:-14566}
venv=$home/venv
root=$home/root
libs=$root/var/lib/localstack/lib
pidfile=$home/localstack.pid
portfile=$home/localstack.port
log=$home/localstack.log

say() { echo "localstack: $*" >&2; }
missing() { # missing WHAT DEBIAN-PACKAGE MACOS-PACKAGE
  say "$1 is missing."
  say "  Debian/Ubuntu: apt-get install $2"
  say "  macOS:         brew install $3"
  exit 1
}

# LocalStack 4.14 uses what came with Python 3.13 (which its image has), and one of its packages does
# not allow 3.14 yet.
find_python() {
  local p
  for p in python3.13 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python3; do
    if "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
      echo "$p"
      return
    fi
  done
  missing "Python 3.13 (with venv)" "python3.13 python3.13-venv (from Debian 13 on; else pyenv install 3.13)" python@3.13
}

install_packages() {
  local stamp; stamp="3.13 $(cksum <requirements.txt)"
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  local python; python=$(find_python)
  say "installing LocalStack's Python packages with $("$python" --version) (once, about 400 MB)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  # uv installs the lock in a tenth of pip's time; pip does where there is no uv.
  if "$venv/bin/pip" install -q --disable-pip-version-check uv==0.13.9 2>/dev/null; then
    "$venv/bin/python" -m uv pip install -q --no-deps --require-hashes --python "$venv/bin/python" -r requirements.txt
  else
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
  fi
  echo "$stamp" >"$venv/stamp"
}

install_dynamodb() {
  local jre stamp; stamp=$(cksum <pom.xml)
  command -v java >/dev/null || missing "Java 17 or later" default-jre-headless openjdk
  if [ "$(cat "$home/dynamodb-local/stamp" 2>/dev/null)" != "$stamp" ]; then
    command -v mvn >/dev/null || missing Maven maven maven
    say "fetching DynamoDB Local with Maven (once, about 50 MB)"
    rm -rf "$home/dynamodb-local"
    if ! mvn -q -B -f pom.xml dependency:copy-dependencies dependency:copy jar:jar >"$home/maven.log" 2>&1; then
      say "Maven failed:"; tail -20 "$home/maven.log" >&2; exit 1
    fi
    echo "$stamp" >"$home/dynamodb-local/stamp"
  fi
  # LocalStack looks for both at these places, and would download them otherwise.
  jre=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
  mkdir -p "$libs/dynamodb-local" "$libs/java"
  ln -sfn "$home/dynamodb-local" "$libs/dynamodb-local/2"
  ln -sfn "$jre" "$libs/java/21"
}

setup() {
  mkdir -p "$home"
  install_packages
  install_dynamodb
}

running() { [ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; }
# One that runs already keeps the port with which it was started.
if running; then port=$(cat "$portfile"); fi
url=http://127.0.0.1:$port
healthy() { "$venv/bin/python" - "$url" <<'PY' 2>/dev/null
import sys, json, urllib.request
with urllib.request.urlopen(sys.argv[1] + "/_localstack/health", timeout=5) as r:
    services = json.load(r)["services"]
sys.exit(any(services.get(s) != "running" for s in ("sqs", "s3", "dynamodb")))
PY
}

start() {
  if running; then say "already running on $url"; return; fi
  setup
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    say "port $port is taken; choose another: LOCALSTACK_PORT=… $0 start"; exit 1
  fi
  rm -rf "$root/tmp"
  env -u AWS_ENDPOINT_URL -u AWS_PROFILE \
    OVERRIDE_IN_DOCKER=0 FILESYSTEM_ROOT="$root" XDG_CACHE_HOME="$home/cache" \
    GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port" SQS_ENDPOINT_STRATEGY=path \
    SERVICES=sqs,s3,dynamodb STRICT_SERVICE_LOADING=1 EAGER_SERVICE_LOADING=1 PERSISTENCE=0 DYNAMODB_IN_MEMORY=1 \
    DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 SQS_DISABLE_CLOUDWATCH_METRICS=1 DNS_ADDRESS=0 \
    LS_LOG="${LS_LOG:-warning}" \
    "$venv/bin/python" host.py </dev/null >"$log" 2>&1 &
  echo $! >"$pidfile"
  echo "$port" >"$portfile"
  for _ in $(seq 120); do
    if healthy; then say "running on $url (log: $log)"; return; fi
    running || { say "it ended while starting:"; tail -20 "$log" >&2; rm -f "$pidfile"; exit 1; }
    sleep 0.5
  done
  say "not healthy after 60 s; see $log"; stop; exit 1
}

stop() {
  running || { rm -f "$pidfile"; return 0; }
  local pid; pid=$(cat "$pidfile")
  kill "$pid"
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$pidfile"; say "stopped"; return; }
    sleep 0.1
  done
  say "does not stop within 10 s; killing it"
  kill -9 -- "-$pid" 2>/dev/null || true
  rm -f "$pidfile"
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  setup) setup ;;
  python) find_python ;;
  status)
    if running && healthy; then say "running on $url"; else say "not running"; exit 1; fi ;;
  env)
    cat <<ENV
export AWS_ENDPOINT_URL=$url
export AWS_REGION=eu-central-1
export AWS_ACCESS_KEY_ID=test
export AWS_SECRET_ACCESS_KEY=test
ENV
    ;;
  *) sed -n '2,14s/^# \{0,1\}//p' host.sh; exit 2 ;;
esac
