-- Arguments of calls of the platform, of images and of agents: what is wrong is raised at the
-- caller's line, by its name, before anything is sent.

local daytona = require "daytona"
local image = require "daytona.image"
local sandbox = require "daytona.control.sandbox"
local script = require "spec.support.script"

before_each(script.begin)
after_each(script.finish)

local client, box, base

-- What is said -> a call with such a mistake. X is no text, no table and no number that fits.
local X = true

local CALLS = {
  ["request: the method must be"] = function() client:request(X, "/x") end,
  ["request: the path must be"] = function() client:request("GET", X) end,
  ["wait: states must be"] = function() box:wait { X } end,
  ["resize: the size must be"] = function() box:resize(X) end,
  ["create_snapshot: the name must be"] = function() box:create_snapshot(X) end,
  ["set_labels: labels must be"] = function() box:set_labels(X) end,
  ["merge_labels: labels must be"] = function() box:merge_labels(X) end,
  ["set_auto_stop_interval: minutes must be"] = function() box:set_auto_stop_interval(X) end,
  ["set_auto_archive_interval: minutes must be"] = function() box:set_auto_archive_interval(-1) end,
  ["set_auto_delete_interval: minutes must be"] = function() box:set_auto_delete_interval "x" end,
  ["set_public: public must be"] = function() box:set_public "yes" end,
  ["set_network: the limits must be"] = function() box:set_network(X) end,
  ["set_secrets: the secrets must be"] = function() box:set_secrets(X) end,
  ["get: the name or id must be"] = function() client.secrets:get(X) end,
  ["get: the name or id must be a"] = function() client.volumes:get(X) end,
  ["create: the secret must be"] = function() client.secrets:create(X) end,
  ["create: the name must be"] = function() client.volumes:create(X) end,
  ["wait_for: what must be"] = function() box:wait_for(X) end,
  ["get: the id or name must be"] = function() client:get(X) end,
  ["get: the id or name must be a"] = function() client.regions:get(X) end,
  ["get: the id or name must be a n"] = function() client.snapshots:get(X) end,
  ["attach: the id must be"] = function() client:attach(X) end,
  ["stop takes a sandbox or its id"] = function() client:stop(X) end,
  ["stop takes a sandbox or its id: no"] = function() client:stop "" end,
  ["delete: options must be"] = function() box:delete "now" end,
  ["with: what to do must be"] = function() client:pool({ size = 0 }):with(X) end,
  ["map: the list must be"] = function() client:pool({ size = 0 }):map(X, print) end,
  ["map: what to do must be"] = function() client:pool({ size = 0 }):map({}, X) end,
  ["revoke_ssh_access: the token must be"] = function() box:revoke_ssh_access(X) end,
  ["validate_ssh_access: the token must be"] = function() box.ssh:validate(X) end,
  ["trace: the id must be"] = function() box:trace(X) end,
  ["create: what to make must be"] = function() client.snapshots:create(X) end,
  ["create: the pool must be"] = function() client.warm_pools:create(X) end,
  ["get: the id or snapshot must be"] = function() client.warm_pools:get(X) end,
  ["preview_url: port must be"] = function() box:preview_url(0) end,
  ["preview_url: port must be a"] = function() box:preview_url(65536) end,
  ["expire_preview_url: the port must be"] = function() box:expire_preview_url(0, "t") end,
  ["expire_preview_url: the token must be"] = function() box:expire_preview_url(80, X) end,
  ["base: the image"] = function() image.base(X) end,
  ["debian_slim: the version of Python must be"] = function() image.debian_slim(X) end,
  ["from_dockerfile: the path must be"] = function() image.from_dockerfile(X) end,
  ["pip_install_from_requirements: the path must be"] = function() base:pip_install_from_requirements(X) end,
  ["pip_install_from_pyproject: the path must be"] = function() base:pip_install_from_pyproject(X) end,
  ["pip_install_from_pyproject: the groups must be"] = function() base:pip_install_from_pyproject("x", X) end,
  ["add_local_file: the path must be"] = function() base:add_local_file(X, "/a") end,
  ["add_local_dir: the path must be"] = function() base:add_local_dir(X, "/a") end,
  ["run_commands: command 2 must be"] = function() base:run_commands("ls", X) end,
  ["run: the program and its arguments must be"] = function() base:run(X) end,
  ["env: the variables must be"] = function() base:env(X) end,
  ["label: the labels must be"] = function() base:label(X) end,
  ["expose: port 2 must be"] = function() base:expose(80, 65536) end,
  ["entrypoint: the words must be"] = function() base:entrypoint(X) end,
  ["cmd: the words must be"] = function() base:cmd(X) end,
  ["dockerfile_commands: the lines must be"] = function() base:dockerfile_commands(X) end,
  ["copy: the target must be"] = function() base:copy("a", "/b\nUSER x", { from = "c" }) end,
}

describe("a wrong argument", function()
  before_each(function()
    client, base = script.client, image.base "b:1"
    box = sandbox.new(client, { id = "box", state = "started", toolboxProxyUrl = "http://127.0.0.1:1" })
  end)

  for what, call in pairs(CALLS) do
    it("is named: " .. what, function()
      local fine, why = pcall(call)
      assert.is_false(fine, what)
      assert.truthy(tostring(why):find("arguments_spec.lua:%d+: "), why)
      assert.truthy(why:find(what:match "^.- must be" or what:match "^[^:]*", 1, true), why)
      assert.same({}, script.seen)
    end)
  end
end)

describe("an agent's prompt", function()
  it("must be a text", function()
    local agent = assert(daytona.agent { model = "m", api_key = "k", base_url = "http://127.0.0.1:1",
      client = script.client })
    for _, name in ipairs { "send", "stream" } do
      assert.error_matches(function() agent[name](agent, 5) end, name .. ": the prompt must be")
    end
    agent:close()
    assert.same({}, script.seen)
  end)
end)
