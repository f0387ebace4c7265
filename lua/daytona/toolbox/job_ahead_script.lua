-- The shell side of job_ahead.lua: who prints is read by one process over there, the feeder,
-- which answers requests that wait for it, one after the other.
--
-- A chain of such requests is a folder, ~/.daytona/lua-ahead/<token>/:
--
--   0 ... 15   named pipes: at the n-th (n modulo 16) its answer is waited for
--   data end   named pipes: what was printed; that the job has ended
--   n          how many were answered
--   pids       of whom to end at the chain's end
--
-- The folder goes away with the chain: when the job ends, when what is printed comes a second
-- or more apart, when nobody was answered for 5 to 10 seconds, and when it is told to. Who waits then,
-- or comes later, is answered nothing. Text only; needs what job_script.lua calls `watches`.

local shell = require "daytona.base.shell"

local script = {}

-- So many pipes. There are never more requests under way.
script.RING = 16

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

-- Whoever prints more often than each 8 ms is not asked for each line. A plus says that the
-- answer before came late: there was nobody to give it to. /proc/uptime is a clock that
-- costs no process.
local FEEDER = OVER .. [[
feed() {
  exec 3<"$w/data"
  n=0 f='' u=0 v=0 y=0
  while :; do
    read -r u z </proc/uptime
    x=$(dd bs=$m count=1 <&3 | base64 -w 0)
    [ -n "$x" ] || break
    read -r v z </proc/uptime
    echo "$n$f $x" >"$w/$((n % 16))" || break
    read -r y z </proc/uptime
    f=''; [ "$y" = "$v" ] || f=+
    n=$((n + 1)); echo $n >"$w/n"
    [ $((${v%.*} - ${u%.*})) -lt 2 ] || break
    sleep 0.008
  done
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

---Begins a chain where a job prints to `file` from `offset` on, and waits for its first answer, as
---`next` does.
---@param id string  the job's
---@param token string
---@param file "out"|"err"
---@param offset integer
---@return string
function script.start(id, token, file, offset)
  local pipes = {}
  for i = 0, script.RING - 1 do pipes[#pipes + 1] = ('"$w/%d"'):format(i) end
  return head(token) .. "d=${HOME:-/tmp}/.daytona/lua-jobs/" .. shell.quote(id) .. "\n"
    .. ("p=$d/%s o=%d m=%d q=%g\n"):format(file, offset + 1, script.PIECE, script.quiet) .. FEEDER .. [[
[ -e "$d/watches" ] || exit
umask 077
mkdir -p "$l" && mkdir "$w" && echo 0 >"$w/n" && mkfifo "$w/data" "$w/end" ]] .. table.concat(pipes, " ") .. [[ || exit
(
  tail -f -c +$o "$p" >"$w/data" & t=$!
  tail -f -c +1 "$d/events" >"$w/end" & e=$!
  { head -c 1 <"$w/end"; kill $t; } &
  feed &
  keep & k=$!
  echo "$t $e $k" >"$w/pids"
) </dev/null >/dev/null
]] .. 'read -r x <"$w/0"\necho "$x"\n'
end

---Waits for the n-th answer of a chain: "<n> <bytes in base64>", or "<n>+ ..." (see FEEDER); nothing
---where the chain is over.
---@param token string
---@param n integer
---@param early boolean  it may be there before the chain
---@return string
function script.next(token, n, early)
  return head(token) .. ("p=$w/%d n=0\n"):format(n % script.RING)
    .. (early and 'until [ -e "$w/pids" ] || [ $n -ge 50 ]; do sleep 0.01; n=$((n + 1)); done\n' or "")
    .. 'read -r x <"$p"\necho "$x"\n'
end

return script
