-- The shell side of durable jobs: what is sent to the sandbox's shell to start a
-- job, look at it, feed it and end it. Text only; job.lua sends it and reads the
-- answers. It runs in bash, dash, zsh and busybox.
--
-- A job is a folder, ~/.daytona/lua-jobs/<id>/:
--
--   command     the text that a shell runs (env: its environment, until it starts)
--   out err     what it has printed, byte for byte
--   in          a named pipe, its standard input (holder: who keeps it open)
--   pid leader  the supervisor; the leader of the job's process group
--   canceled timed_out   why it was ended, when it was
--   sent        a signal was sent to it from here
--   exit        how it ended: reason, exit code, signal. Written at once, last
--   events      gets a byte at the end, for those who wait
--
-- The supervisor is a session of its own, so nobody's end is its end; it starts
-- the wrapper as a session once more, whose group is the job. The wrapper outlives
-- all signals but KILL, so what it says of the command's end is exact, and its
-- silence means that it was killed.

local ahead_script = require "daytona.toolbox.job_ahead_script"
local base64 = require "daytona.base.base64"
local shell = require "daytona.base.shell"

local job_script = {}

local quote = shell.quote

-- Seconds between TERM and KILL, at the end of a job's time.
job_script.grace = 5

-- Sends a signal to all of a job: $1.
local GROUP = [[
group() {
  read -r w <"$d/leader" || return 1
  : >"$d/sent"
  [ -e "$d/ungrouped" ] || { kill -s "$1" -- "-$w"; return; }
  read -r x <"$d/nonce"
  for e in $(grep -lszxF "DAYTONA_JOB=$id.$x" /proc/[0-9]*/environ); do
    e=${e%/environ}; kill -s "$1" "${e#/proc/}"
  done
}
]]

local ZSH = '[ -z "$ZSH_VERSION" ] || emulate sh\n'

-- Common to all: the jobs' folder, one job's state, sleeping, signals. (Without -z
-- the grep of busybox sees nothing beyond a NUL.)
local PRELUDE = ZSH .. [[
r="${HOME:-/tmp}/.daytona/lua-jobs"
nap() { sleep "$1" 2>/dev/null || sleep 1; }
alive() {
  n=0
  until [ -s "$d/pid" ]; do
    [ $n -lt 10 ] || return 1
    n=$((n + 1)); nap 0.1
  done
  read -r p <"$d/pid" && grep -qszF "lua-jobs/$id/run" "/proc/$p/cmdline"
}
state() {
  s=running
  [ -s "$d/exit" ] || alive || s='lost -1 0'
  [ ! -s "$d/exit" ] || read -r s <"$d/exit"
}
]] .. GROUP

-- What a shell has to say on the way is no part of the answer.
local function head(id)
  return "exec 2>/dev/null\n" .. PRELUDE .. "id=" .. quote(id) .. "\nd=$r/$id\n"
end

--- Starting ----------------------------------------------------------------------------------

-- $1 folder, $2 the command's shell, $3 seconds or 0, $4 none, file or pipe, $5 out
-- or err: where standard error goes, $6 umask, $7 setsid or nothing, $8 seconds between
-- TERM and KILL.
local SUPERVISOR = ZSH .. "d=$1 id=${1##*/} dog=\n" .. GROUP .. [[
echo $$ >"$d/pid"
[ -n "$7" ] || : >"$d/ungrouped"
case $4 in
pipe)
  exec 8<>"$d/in" 7<"$d/in" 9>"$d/in"
  exec 8>&-
  sleep 2147483647 </dev/null >&9 7<&- 9>&- &
  echo $! >"$d/holder"
  exec 9>&- <&7 7<&- ;;
file) exec <"$d/input"; rm -f "$d/input" ;;
*) exec </dev/null ;;
esac
if [ "$3" -gt 0 ]; then
  (
    trap 'kill $! 2>/dev/null; exit' TERM
    sleep "$3" & wait $!
    : >"$d/timed_out"; group TERM
    sleep "$8" & wait $!
    group KILL
  ) </dev/null &
  dog=$!
fi
$7 sh "$d/wrap" "$d" "$2" "$5" "$6" 2>"$d/trace"
status=$?
[ -z "$dog" ] || kill $dog
if [ -s "$d/holder" ]; then read -r h <"$d/holder"; kill "$h"; fi
rm -f "$d/in" "$d/holder"
signal=0
if [ -s "$d/status" ]; then
  read -r status <"$d/status"
  if [ "$status" -gt 128 ]; then
    case $((status - 128)) in
    2|13|15) [ ! -e "$d/sent" ] || signal=$((status - 128)) ;;
    *) [ ! -s "$d/trace" ] || signal=$((status - 128)) ;;
    esac
  fi
elif [ "$status" -gt 128 ]; then signal=$((status - 128)); fi
if [ -e "$d/timed_out" ]; then reason=timed_out
elif [ -e "$d/canceled" ]; then reason=canceled
elif [ $signal -gt 0 ]; then reason=signaled
else reason=exited; fi
case $reason in timed_out|canceled) group KILL ;; esac
echo "$reason $status $signal" >"$d/exit.new" && mv "$d/exit.new" "$d/exit"
echo >>"$d/events"
]]

-- The leader is named by who will become the command: from then on signals reach it. Where
-- the job was discarded meanwhile it cannot be named, and there is no command.
-- A shell says on its standard error that a command was killed by a signal, except
-- of INT, PIPE and TERM: so 137 of `exit 137` can be told from that of KILL. These
-- three are believed to have been sent if we did send one.
local WRAPPER = ZSH .. [[
trap : HUP INT QUIT ALRM TERM USR1 USR2
d=$1
run() {
  echo $$ >"$d/leader.new" && mv "$d/leader.new" "$d/leader" || exit 143
  umask "$1"
  read -r x <"$d/nonce"
  DAYTONA_JOB=${d##*/}.$x; export DAYTONA_JOB
  if [ -e "$d/env" ]; then . "$d/env"; rm -f "$d/env"; fi
  exec "$2" "$d/command"
}
if [ "$3" = out ]; then ( run "$4" "$2" ) >>"$d/out" 2>&1
else ( run "$4" "$2" ) >>"$d/out" 2>>"$d/err"; fi
echo $? >"$d/status"
]]

local function file_line(name, data)
  return "why=$(printf %s '" .. base64.encode(data) .. "' | base64 -d 2>&1 >\"$d/" .. name .. "\") || fail\n"
end

---Starts a job, once, however often it is sent. Answers "started", "exists" or
---"failed ...".
---@param job { id: string, nonce: string, command: string, env?: string, input: "none"|"file"|"pipe", data?: string, seconds: integer, merge: boolean }
---@return string
function job_script.start(job)
  return head(job.id) .. "u=$(umask)\numask 077\nnonce=" .. quote(job.nonce) .. [[

fail() { rm -rf "$d"; echo "failed $why"; exit; }
save() { why=$( { printf '%s\n' "$2" >"$d/$1"; } 2>&1 ) || fail; }
why=$(mkdir -p "$r" 2>&1) || fail
if ! why=$(mkdir "$d" 2>&1); then
  [ -d "$d" ] || fail
  [ -s "$d/nonce" ] || nap 0.2
  read -r x <"$d/nonce"
  if [ "$x" = "$nonce" ]; then echo started; else echo exists; fi
  exit
fi
save nonce "$nonce"
: >"$d/out"; : >"$d/err"; : >"$d/events"
]] .. file_line("command", job.command) .. (job.env and file_line("env", job.env) or "")
    .. (job.data and file_line("input", job.data) or "")
    .. (job.input == "pipe" and 'why=$(mkfifo "$d/in" 2>&1) || fail\n' or "")
    .. "save run " .. quote(SUPERVISOR) .. '\nsave wrap ' .. quote(WRAPPER) .. '\n' .. [[
if tail --version && timeout --version; then : >"$d/watches"; fi >/dev/null 2>&1
if [ -n "$ZSH_VERSION" ]; then c=zsh; elif [ -n "$BASH_VERSION" ]; then c=bash; else c=sh; fi
c=$(command -v $c) || c=$(readlink "/proc/$$/exe") || c=sh
save started "$(date +%s)"
]] .. ('set -- "$d/run" "$d" "$c" %d %s %s "$u"\n'):format(job.seconds, job.input, job.merge and "out" or "err")
    .. ("g=%s\n"):format(job_script.grace) .. [[
if setsid -f true 2>/dev/null; then setsid -f sh "$@" setsid $g </dev/null >/dev/null 2>&1
elif command -v setsid >/dev/null; then setsid sh "$@" setsid $g </dev/null >/dev/null 2>&1 &
else sh "$@" '' $g </dev/null >/dev/null 2>&1 & fi
echo started
]]
end

--- Looking --------------------------------------------------------------------------------------

-- Waits for news without polling where tail watches files (coreutils), else in
-- growing steps. `feed` waits for one output: what comes is answered as it is, because each
-- further program would make it a millisecond older; how large the file is, and how the
-- job does, is said by the next look. At the job's end the writer of the one pipe is ended,
-- once the pipe has its reader; the same process takes the pipes away in either case, so that
-- nobody waits for that. timeout leads a group of its own: that is ended as well,
-- because a timeout that is told to end right as it starts its program leaves it running.
local WAIT = [[
drop() {
  for z; do kill $z; kill -s TERM -- -$z; done
}
news() {
  state
  [ "$s" = running ] || return 0
  [ -z "$o" ] || [ $(size out) -le $o ] || return 0
  [ -z "$e" ] || [ $(size err) -le $e ] || return 0
  return 1
}
watch() {
  f=$d/watch.$$ k=
  mkfifo "$f" || return
  if [ -n "$o" ]; then timeout $t tail -f -c +$((o + 1)) "$d/out" >"$f" & k="$k $!"; fi
  if [ -n "$e" ]; then timeout $t tail -f -c +$((e + 1)) "$d/err" >"$f" & k="$k $!"; fi
  timeout $t tail -f -c +1 "$d/events" >"$f" & k="$k $!"
  head -c 1 <"$f" >/dev/null
  drop $k
  rm -f "$f"
}
feed() {
  f=$d/watch.$$
  mkfifo "$f" "$f.end" && exec 3<>"$f.end" || return
  timeout $t tail -f -c +1 "$d/events" >&3 & j=$!
  timeout $t tail -f -c +$(($2 + 1)) "$d/$1" >"$f" 3>&- & k=$!
  {
    z=$(timeout $t head -c 1 <&3)
    [ "$z" = x ] || { timeout 5 sh -c ': >"$1"' sh "$f"; drop $k; }
    rm -f "$f" "$f.end"
  } >/dev/null &
  x=$(dd bs=$m count=1 <"$f" 3>&- | base64 -w 0)
  drop $k $j
  echo x >&3
  [ -n "$x" ] || return
  echo running; echo "0 0"
  [ $1 = out ] || echo
  echo "$x"
  [ $1 = err ] || echo
  exit
}
if [ $t -gt 0 ] && ! news; then
  if [ -e "$d/watches" ]; then
    case $o,$e in
    ,?*) feed err $e ;;
    ?*,) feed out $o ;;
    *) watch ;;
    esac
  else
    for z in 0.02 0.03 0.05 0.1 0.1 0.2 0.2 0.3; do if ! news; then nap $z; fi; done
    t=$((t * 2))
    while [ $t -gt 0 ] && ! news; do nap 0.5; t=$((t - 1)); done
  fi
fi
]]

---What a job is doing and what it has printed from an offset on: waits for up to
---`seconds` until there is something new. Answers four lines: the state, the sizes of
---out and err (0 where nobody looked), and up to `most` bytes of each in base64; or "gone".
---@param id string
---@param out? integer      offset; nil: not asked for
---@param err? integer
---@param seconds integer
---@param most integer
---@param stale? string[]  chains of requests that are to be ended first
---@return string
function job_script.poll(id, out, err, seconds, most, stale)
  local text = head(id)
  for _, token in ipairs(stale or {}) do text = text .. ahead_script.stop(token) end
  return text .. ("o=%s e=%s t=%d m=%d\n"):format(out and ("%d"):format(out) or "",
    err and ("%d"):format(err) or "", seconds, most) .. [[
[ -e "$d/started" ] || { echo gone; exit; }
]] .. ahead_script.SIZE .. WAIT .. "state\n" .. ahead_script.NEWS
end

---Every job, a line each: id, when it was started, the start of its command in
---base64, its state.
---@return string
function job_script.list()
  return "exec 2>/dev/null\n" .. PRELUDE .. [[
for d in "$r"/*; do
  [ -e "$d/started" ] || continue
  id=${d##*/}
  state
  echo "$id $(cat "$d/started") $(head -c 4096 "$d/command" | base64 | tr -d '\n') $s"
done
]]
end

--- Input ----------------------------------------------------------------------------------------

---Gives a job input, once, however often it is sent. Answers "ok", "closed", "failed"
---or "gone".
---@param id string
---@param nonce string
---@param before? string  the nonce of the input before, which is done
---@param data string
---@return string
function job_script.write(id, nonce, before, data)
  return head(id) .. "w=$d/input." .. quote(nonce) .. "\n"
    .. (before and 'rm -rf "$d/input."' .. quote(before) .. "\n" or "") .. [[
[ -e "$d/started" ] || { echo gone; exit; }
n=0
if mkdir "$w" 2>/dev/null; then
  until [ -s "$d/holder" ]; do
    if [ ! -p "$d/in" ] || [ $n -ge 20 ]; then echo closed; exit; fi
    n=$((n + 1)); nap 0.1
  done
  if printf %s ']] .. base64.encode(data) .. [[' | base64 -d >"$d/in" 2>/dev/null; then : >"$w/done"; echo ok
  else : >"$w/closed"; echo closed; fi
else
  [ -d "$w" ] || { echo failed; exit; }
  until [ -e "$w/done" ] || [ -e "$w/closed" ]; do nap 0.1; done
  if [ -e "$w/done" ]; then echo ok; else echo closed; fi
fi
]]
end

---Ends a job's input. Answers "ok" or "gone".
---@param id string
---@return string
function job_script.close_input(id)
  return head(id) .. [[
[ -e "$d/started" ] || { echo gone; exit; }
n=0
until [ -s "$d/holder" ] || [ ! -p "$d/in" ] || [ $n -ge 20 ]; do n=$((n + 1)); nap 0.1; done
if [ -s "$d/holder" ]; then
  read -r h <"$d/holder"
  rm -f "$d/in" "$d/holder"
  kill "$h"
fi
echo ok
]]
end

--- Ending ---------------------------------------------------------------------------------------

local BEGUN = [[
[ -e "$d/started" ] || { echo gone; exit; }
n=0
until [ -s "$d/leader" ] || [ -s "$d/exit" ] || [ $n -ge 20 ]; do n=$((n + 1)); nap 0.1; done
state
]]

---Sends a signal to a job's group. Answers the state it was in, or "gone".
---@param id string
---@param signal string  "INT"
---@return string
function job_script.signal(id, signal)
  return head(id) .. BEGUN .. ('[ "$s" != running ] || group %s\necho "$s"\n'):format(signal)
end

---Asks a job to end, and after `grace` seconds makes it. Answers as `signal`.
---@param id string
---@param grace number
---@return string
function job_script.cancel(id, grace)
  return head(id) .. BEGUN .. ([[
if [ "$s" = running ]; then
  : >"$d/canceled"
  group TERM
  ( nap %s; [ -s "$d/exit" ] || group KILL ) </dev/null >/dev/null 2>&1 &
fi
echo "$s"
]]):format(tostring(grace))
end

---Removes a job that has ended. Answers "ok", "running" or "gone".
---@param id string
---@return string
function job_script.remove(id)
  return head(id) .. [[
[ -e "$d/started" ] || { echo gone; exit; }
state
if [ "$s" = running ]; then echo running; else rm -rf "$d"; echo ok; fi
]]
end

---Ends a job, within about 3 seconds, and removes it; one that was not started yet
---will not be. Its folder is moved away before it is removed: a command that is about to
---begin has either named its leader there by then, and is killed, or cannot any more.
---With a nonce, only if it is the job that was started with that. Answers "ok".
---@param id string
---@param nonce? string
---@return string
function job_script.discard(id, nonce)
  return head(id) .. "nonce=" .. quote(nonce or "") .. [[

mkdir -p "$r"
if mkdir "$d"; then echo discarded >"$d/nonce"; echo ok; exit; fi
[ -s "$d/nonce" ] || nap 0.2
read -r x <"$d/nonce"
if [ -n "$nonce" ] && [ "$x" != "$nonce" ]; then echo ok; exit; fi
n=0
until [ -s "$d/leader" ] || [ -s "$d/exit" ] || [ $n -ge 20 ]; do n=$((n + 1)); nap 0.1; done
state
if [ "$s" = running ]; then
  : >"$d/canceled"
  group TERM
  n=0
  until [ -s "$d/exit" ] || [ $n -ge 20 ]; do n=$((n + 1)); nap 0.1; done
  [ -s "$d/exit" ] || group KILL
  until [ -s "$d/exit" ] || [ $n -ge 30 ]; do n=$((n + 1)); nap 0.1; done
fi
mv "$d" "$r/.$id" && d=$r/.$id
[ -s "$d/exit" ] || { : >"$d/ungrouped"; group KILL; }
rm -rf "$d"
echo ok
]]
end

return job_script
