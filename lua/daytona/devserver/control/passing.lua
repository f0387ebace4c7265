-- The states that a snapshot or a volume passes through: each is kept, told, and lasts a while.

local passing = { STEP = 0.05 } -- seconds in each state, on the service's clock

local LAG = 0.5 -- the same where states last as long as with the service

---What moves things of a kind to another state.
---@param kind "snapshot"|"volume"
---@return fun(context: table, thing: table, state: string)
function passing.mover(kind)
  local records = kind .. "s"
  return function(context, thing, state)
    local old = thing.state
    thing.state, thing.updated = state, context.clock:now()
    context.records[records]:keep(thing)
    context.events:moved(kind, thing, old, state)
  end
end

---Waits as long as such a state lasts.
---@param context table
function passing.wait(context)
  context.clock:sleep(context.life.lag and LAG or passing.STEP)
end

return passing
