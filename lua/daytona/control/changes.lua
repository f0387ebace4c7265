-- `sb.life`: what leads a sandbox from one state to another.

local grouping = require "daytona.base.grouping"

return {
  new = grouping("daytona.Life", "life", {
    "start", "stop", "pause", "resume", "archive", "recover", "ensure_started", "delete", "wait",
  }),
}
