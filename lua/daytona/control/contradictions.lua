-- Options of a new sandbox that cannot be meant together: raises at the caller's line.

local errors = require "daytona.base.errors"

---@param opts daytona.CreateOptions
return function(opts)
  local pauses = (opts.auto_pause_interval or 0) > 0
  if opts.image and opts.snapshot then
    errors.misuse(1, "create: either image or snapshot")
  elseif opts.extra and (opts.extra.name or opts.extra.labels) then
    errors.misuse(1, "create: name and labels are options of their own, not extra")
  elseif opts.snapshot and (opts.cpu or opts.memory or opts.disk) then
    errors.misuse(1, "create: a snapshot brings its own cpu, memory and disk; these go with image")
  elseif opts.on_build_log and opts.wait == false then
    errors.misuse(1, "create: on_build_log hears the log while create waits; wait = false says otherwise")
  elseif opts.ephemeral and (opts.auto_delete_interval or 0) ~= 0 then
    errors.misuse(1, "create: an ephemeral sandbox is deleted when it stops; auto_delete_interval says otherwise")
  elseif pauses and (opts.auto_stop_interval or 0) > 0 then
    errors.misuse(1, "create: either auto_stop_interval or auto_pause_interval")
  elseif pauses and (opts.ephemeral or opts.auto_delete_interval == 0) then
    errors.misuse(1, "create: a sandbox that is deleted when it stops cannot pause by itself")
  end
end
