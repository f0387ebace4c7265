-- The shell side of job_ahead.lua: who prints is read by one process over there, the feeder,
-- which answers requests that wait for it, one after the other.
--
-- A chain of such requests is a folder, ~/.daytona/lua-ahead/<token>/:
--
--   0 ... 31   named pipes: at the n-th (n modulo 32) its answer is waited for
--   data end   named pipes: what was printed; that the job has ended
--   n          how many were answered
--   ended      the job has
--   pids       of whom to end at the chain's end
--
-- The folder goes away with the chain: when the job ends, when what is printed comes a second
-- or more apart, when nobody was answered for 5 to 10 seconds, and when it is told to. Who waits then,
-- or comes later, is answered nothing. Text only; needs what job_script.lua calls `watches`.

local shell = require "daytona.base.shell"

local script = {}

-- So many pipes. There are never more requests under way.
script.RING = 32

-- Bytes in one answer at most: they are read one by one, by the shell itself, as a program
-- would cost more.
script.PIECE = 6000

-- Seconds: who was not answered in such a time, and once more, is not waited for.
script.quiet = 5

local ZSH = '[ -z "$ZSH_VERSION" ] || emulate sh\n'

local function head(token)
  return "exec 2>/dev/null\n" .. ZSH .. 'l=${HOME:-/tmp}/.daytona/lua-ahead\nw=$l/' .. shell.quote(token) .. "\n"
end

-- Ends the chain, once: who moves the folder away does it. Those who wait at a pipe are woken by
-- somebody who opens it; twice, as one may just be on the way.
local OVER = [[
over() {
  read -r t e k <"$w/pids"
  mv "$w" "$w.over" || return
  kill $t $e
  for i in 1 2; do
    for z in "$w.over"/[0-9]*; do : <>"$z"; done
    sleep 0.02
  done
  rm -rf "$w.over"
}
]]

---Ends a chain, if it is there: lines of shell for the beginning of another script.
---@param token string
---@return string
function script.stop(token)
  return "( " .. head(token) .. OVER .. 'if [ -d "$w" ]; then over; kill $k; fi\n) </dev/null >/dev/null\n'
end

-- The feeder waits until somebody is there to be answered, then for what is printed, which goes straight
-- to him: both programs are there by then. Who prints without pause is asked 3 times in 20 ms, as
-- /proc/uptime tells: a clock of 10 ms that costs no process.
local FEEDER = OVER .. [[
feed() {
  exec 3<"$w/data"
  trap '' PIPE
  n=0 c=0 u=0 v=0
  while [ ! -e "$w/ended" ]; do
    {
      read -r u z </proc/uptime
      printf '%s ' $n
      dd bs=$m count=1 <&3 | base64 -w $((m * 2))
    } >"$w/$((n % r))" || break
    n=$((n + 1)); echo $n >"$w/n"
    z=$v; read -r v y </proc/uptime
    [ $((${v%.*} - ${u%.*})) -lt 2 ] || break
    if [ "$v" = "$z" ]; then c=$((c + 1)); else c=0; fi
    [ $c -lt 2 ] || sleep 0.008
  done
  [ ! -e "$w/ended" ] || echo $n >"$w/$((n % r))"
  until [ -s "$w/pids" ] || [ ! -d "$w" ]; do sleep 0.01; done
  over && kill $k
}
keep() {
  trap 'kill $!; exit' TERM
  n=0 s=''
  until [ "$n" = "$s" ]; do
    s=$n
    sleep $q & wait $!
    read -r n <"$w/n"
  done
  over
}
]]

-- The size of out or err, $1.
script.SIZE = [[
size() { echo $(($(wc -c <"$d/$1"))); }
]]

-- What a look says: of the job in $d the state $s, the sizes of what it has printed, and $m bytes at most
-- of each output from $o and $e on, where these are set; by `script.SIZE`.
script.NEWS = [[
so=$(size out) se=$(size err)
echo "$s"; echo "$so $se"
if [ -n "$o" ] && [ $so -gt $o ]; then tail -c +$((o + 1)) "$d/out" | head -c $m | base64 | tr -d '\n'; fi
echo
if [ -n "$e" ] && [ $se -gt $e ]; then tail -c +$((e + 1)) "$d/err" | head -c $m | base64 | tr -d '\n'; fi
echo
]]

-- Answers. Who was told nothing but his number says what a look does, once the job has ended:
-- that of its output $f from $i on, where his asker was.
local ANSWER = [[
if [ "$x" = $n ] && [ -s "$d/exit" ]; then
  read -r s <"$d/exit"
  o='' e='' m=65536
  if [ $f = out ]; then o=$i; else e=$i; fi
]] .. script.SIZE .. script.NEWS .. 'else echo "$x"; fi\n'

---Where a chain is read from.
---@class daytona.AheadSource
---@field id string     the job's
---@field file "out"|"err"
---@field token string  the chain's

-- Lines of shell that a request of a chain begins with; n: which one.
local function request(source, n, offset)
  return head(source.token) .. "d=${HOME:-/tmp}/.daytona/lua-jobs/" .. shell.quote(source.id) .. "\n"
    .. ("n=%d p=$w/%d f=%s i=%d\n"):format(n, n % script.RING, source.file, offset)
end

---Begins a chain where a job prints from `offset` on, and waits for its first answer, as
---`next` does.
---@param source daytona.AheadSource
---@param offset integer
---@return string
function script.start(source, offset)
  local pipes = {}
  for i = 0, script.RING - 1 do pipes[#pipes + 1] = ('"$w/%d"'):format(i) end
  return request(source, 0, offset) .. ("m=%d q=%g r=%d\n"):format(script.PIECE, script.quiet, script.RING)
    .. FEEDER .. [[
x=0
if [ ! -s "$d/exit" ]; then
[ -e "$d/watches" ] || exit
umask 077
mkdir -p "$l" && mkdir "$w" && echo 0 >"$w/n" && mkfifo "$w/data" "$w/end" ]] .. table.concat(pipes, " ") .. [[ || exit
(
  tail -f -c +$((i + 1)) "$d/$f" >"$w/data" & t=$!
  tail -f -c +1 "$d/events" >"$w/end" & e=$!
  { head -c 1 <"$w/end"; : >"$w/ended"; kill $t; } &
  feed &
  keep & k=$!
  echo "$t $e $k" >"$w/pids"
) </dev/null >/dev/null
read -r x <"$p"
fi
]] .. ANSWER
end

local EARLY = [[
k=0
until [ -e "$w/pids" ] || [ -s "$d/exit" ] || [ $k -ge 50 ]; do sleep 0.01; k=$((k + 1)); done
]]

---Waits for the n-th answer of a chain: "<n> <bytes in base64>", what a look says when the job has
---ended, or neither where the chain is over.
---@param source daytona.AheadSource
---@param n integer
---@param offset integer  from which on a look is to tell
---@param early boolean   it may be there before the chain
---@return string
function script.next(source, n, offset, early)
  return request(source, n, offset)
    .. (early and EARLY or "") .. 'read -r x <"$p"\n' .. ANSWER
end

return script
