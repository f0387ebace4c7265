-- `sb.running`: what was begun in a sandbox and may still run, to be found again.

local grouping = require "daytona.base.grouping"

return {
  new = grouping("daytona.Running", "running", { "sessions", "entrypoint", "job", "jobs", "ptys" }),
}
