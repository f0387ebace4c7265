-- The daemon's calls about terminals. The subject is a terminal; of `ptys`, a sandbox.
-- `connect` and `create_connect` are opened as WebSockets (pty_link.lua).

return require("daytona.toolbox.calls").of_daemon {
  pty    = { "POST",   "/process/pty", "object" },
  ptys   = { "GET",    "/process/pty", "object" },
  info   = { "GET",    "/process/pty/{id}", "object" },
  kill   = { "DELETE", "/process/pty/{id}" },
  resize = { "POST",   "/process/pty/{id}/resize", safe = true },
  connect        = { "GET", "/process/pty/{id}/connect" },
  create_connect = { "GET", "/process/pty/create-connect" },
}
