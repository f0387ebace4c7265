-- Answers of a daemon that are JSON, but not what they should be: an error of kind
-- "protocol", where something relies on what is wrong, and never a raise.

local scripted = require "spec.support.scripted_daemon"

describe("an answer of another shape", function()
  local peer
  setup(function() peer = scripted.start() end)
  teardown(function() peer:close() end)

  local CALLS = {
    { "the home directory", "/user-home-dir", function(sb) return sb:home_dir() end, { '{"dir":{}}', "{}" } },
    { "the working directory", "/work-dir", function(sb) return sb:work_dir() end, { '{"dir":5}', '{"dir":null}' } },
    { "the version", "/version", function(sb) return sb:version() end, { '{"version":1.5}', "[]", "5" } },
    { "a file", "/files/info", function(sb) return sb.fs:stat "x" end,
      { '{"name":"x"}', '{"name":"x","size":"1"}', '{"size":1}', "[1]" } },
    { "a file to open", "/files/info", function(sb) return sb.fs:open "x" end, { '{"name":"x","isDir":false}' } },
    { "files", "/files", function(sb) return sb.fs:list "x" end, { "[5]", '[{"name":"x","size":{}}]', "{}5" } },
    { "a context", "/process/interpreter/context", function(sb) return sb.interpreter:create_context {} end,
      { "{}", '{"id":5}', '{"id":null}', '"x"' } },
  }

  for _, call in ipairs(CALLS) do
    local what, path, make, bodies = call[1], call[2], call[3], call[4]
    it("about " .. what .. " is an error", function()
      for _, body in ipairs(bodies) do
        local sandbox = peer:sandbox({ [path] = { { "status", 200, body } } })
        local none, err = make(sandbox)
        assert.is_nil(none, body)
        assert.equal("protocol", err.kind, body)
      end
    end)
  end
end)
