-- The HTTP server kit of the local server: routes, JSON, error envelopes,
-- authentication, streamed bodies, WebSocket hand-over and faults, on lua-http
-- and cqueues. Both the control plane and the toolbox daemon are made of it.
-- It knows no endpoint, no sandbox and no process.
--
-- Making a server:
--
--   local app = httpd.new {
--     key = "secret",             -- bearer key; nil: no authentication
--     source = "DAYTONA_API",     -- or "DAYTONA_DAEMON"; goes into envelopes
--     prefix = "/api",            -- optional: taken off every path (but /__devserver/)
--     authenticate = function(req) return ok end,       -- optional, replaces the key
--     envelope = function(req, failure) return status, body, headers end, -- optional
--     not_found = function(req) return status, body, headers end,         -- optional
--     divert = function(req) return handler end,         -- optional: takes requests that are
--                                    -- not for the routes, and not for the key (nil: it is);
--                                    -- req.source is what their envelopes name
--     faults = faults,            -- optional, from daytona.devserver.http.faults
--     clock = clock,              -- optional, from daytona.devserver.clock
--     tls = context,              -- optional: HTTPS (HTTP/2 when the client offers it)
--     legacy = "0.190",           -- optional: envelopes without code and source
--     max_body = 102400,          -- optional: bytes that req:body() takes unless told (64 MiB)
--     too_large = function(req) end, -- optional: fails in its own way for a larger one
--     refuse = function(req) end,    -- optional: fails for who has no key, if not in the usual way
--     admit = function(req, route) end, -- optional: may fail, after the key and before the handler
--     version = "1.2.3",          -- optional: X-Daytona-Api-Version of every answer
--     read_json = function(req, text, value, message) return value end, -- optional: what req:json()
--                                    -- makes of a body; value is nil where it is no JSON
--     on_request = function(req, status) end, -- optional, after each request
--   }
--   app:route("GET", "/sandbox/:id", function(req) return 200, { id = req.params.id } end)
--   app:route("GET", "/health", handler, { auth = false })   -- or auth = function(req)
--   app:serve(socket)             -- inside a cqueues coroutine: accepts until app:stop()
--
-- Patterns are described in router.lua.
--
-- A handler runs in a coroutine of its own connection, may wait with cqueues
-- freely, and returns
--
--   status                        an empty body
--   status, table                 JSON; httpd.array(t) writes [] when t is empty
--   status, string, headers       these bytes (headers = { ["content-type"] = ... })
--   status, function(write), headers
--                                 a streamed body: write(data) gives true, or nil
--                                 once the client is gone. Chunked, unless the
--                                 headers have a content-length
--   nothing, after req:websocket()
--
-- It fails with httpd.fail(status, code, message), which raises and becomes the
-- envelope { statusCode, message, code, source, timestamp, path, method }. Any
-- other error is logged on stderr and becomes a 500. HEAD is routed like any
-- method; the body of its answer is not sent.
--
-- The request:
--
--   req.method  req.path  req.params  req.query  req.headers   (lower-case names)
--     path is without the prefix and still encoded; query[name] is the first value
--   req:values(name)              all values of a repeated query key, as a list
--   req:body(max)                 the whole body (413 above max, 64 MiB by default)
--   req:json()                    decoded object; httpd.fail 400 if it is none
--   req:read(timeout)             next chunk; nil at the end; nil, err if cut off
--   req:gone()                    true once the client has vanished
--   req:hangup(reset), req:raw(bytes)   for faults
--   req:wait(timeout, ...)        waits for any of the cqueues pollables, at most
--                                 timeout seconds; returns true if the client is gone
--   req:websocket{ protocols = {...}, headers = {...} }
--                                 upgrades; returns a socket of lua-http's websocket
--                                 (send, receive, close), or fails with 400. It is
--                                 closed when the handler returns, if it is still open
--   req.app, req.started (monotonic seconds)
--   req.extra                     headers that the answer gets, whatever it will be; or nil
--   req.last                      true: the connection is closed after the answer
--   req.shaped                    whether a fault is at work on this request
--   req.fault                     that fault; what it does to a WebSocket is its owner's part
--
-- `app:stats()` counts connections and requests.

local failure = require "daytona.devserver.http.failure"
local json = require "daytona.devserver.http.json"
local server = require "daytona.devserver.http.server"
local text = require "daytona.devserver.http.text"

return {
  new = server.new, listen = server.listen,
  fail = failure.fail, is_failure = failure.is, hangup = failure.hangup,
  array = json.array, null = json.null,
  decode = text.decode, same = text.same, timestamp = text.timestamp,
}
