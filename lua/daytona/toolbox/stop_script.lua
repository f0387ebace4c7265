-- The script that ends a command whose caller is gone: it is found by a mark in its environment.

-- For any POSIX shell, busybox included: looks for processes with the marker in
-- their environment, asks them and their groups to end, then makes them. It
-- looks again for a while, because the command may only just be starting, and
-- never finds itself, because the marker is in its text alone. (Without -z the grep
-- of busybox sees the first variable only.)
local SCRIPT = [[
[ -z "$ZSH_VERSION" ] || emulate sh
signal=TERM; seen=; rounds=0
while [ $rounds -lt 20 ]; do
  found=$(grep -lszF '%s' /proc/[0-9]*/environ 2>/dev/null)
  if [ -n "$found" ]; then
    seen=1
    for file in $found; do
      pid=${file#/proc/}; pid=${pid%%/environ}
      kill -s $signal -- "-$pid" 2>/dev/null
      kill -s $signal "$pid" 2>/dev/null
    done
    if [ $rounds -ge 4 ]; then signal=KILL; fi
  elif [ -n "$seen" ]; then
    exit 0
  fi
  rounds=$((rounds + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
]]

---@param mark string  "NAME=value"
---@return string
return function(mark)
  return SCRIPT:format(mark)
end
