-- What lasts, on a line that goes away without a word: a laptop that sleeps and finds its
-- connections as they were, or changes its network, so that only new ones lead anywhere.
-- It goes on, or says within its `idle_timeout` what is lost; nothing is repeated, and
-- nothing is missing.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local exec_call = require "daytona.toolbox.exec_call"
local fs_calls = require "daytona.toolbox.fs.calls"
local job_calls = require "daytona.toolbox.job_calls"
local loop = require "daytona.loop"
local pieces = require "daytona.toolbox.fs.pieces"
local random = require "daytona.base.random"
local tls_front = require "spec.support.tls_front"
local vanishing = require "spec.support.vanishing"
local websocket = require "daytona.http.websocket"

local IDLE = 2                  -- seconds, of what has an idle time
local STALL = 1.5               -- that a transfer may stand still
local LONG, PATIENCE = 30, 60    -- that nothing here takes, and no case
local PINGS, LOOK = 0.4, 0.5
local SLEEP = 0.3               -- shorter than a ping and the time for its answer

-- Numbered lines, until the folder has a file of this name.
local COUNT = "i=0; while [ ! -e %s ] && [ $i -lt 3000 ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo end; rm -f %s"

-- That they are all there, once each.
local function assert_counted(lines)
  assert.equal("end", lines[#lines])
  for i = 1, #lines - 1 do assert.equal(tostring(i), lines[i]) end
end

for _, tls in ipairs { false, true } do
  describe("over " .. (tls and "HTTP/2 and TLS," or "HTTP/1.1,"), function()
    local server, front, client, box
    local usual, patience = websocket.ping_interval, job_calls.patience

    setup(function()
      server = assert(devserver.start())
      client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
      box = assert(client:create())
      local port = box.toolbox_proxy_url:match ":(%d+)/"
      if tls then
        client:close()
        front = tls_front.start(port)
        client = assert(daytona.new {
          api_url = server.api_url, api_key = server.api_key, ca_file = front.certificate,
        })
        box = assert(client:get(box.id))
      end
      websocket.ping_interval, job_calls.patience = PINGS, LOOK - 20 -- a look waits for 20
    end)

    teardown(function()
      websocket.ping_interval, job_calls.patience = usual, patience
      client:close()
      if front then front:stop() end
      server:stop()
    end)

    -- A line to the sandbox, and the sandbox at its end.
    local function go_far()
      local line, there = vanishing.start(front and front.port or box.toolbox_proxy_url:match ":(%d+)/"),
        client:attach(box.id)
      there.toolbox_proxy_url = (tls and "https" or "http") .. "://127.0.0.1:" .. line.port .. "/toolbox"
      return line, there
    end

    -- What can happen to a line.
    local HOW = {
      ["is lost"] = function(line) line:arm(0, "lose") end,
      ["sleeps"] = function(line)
        line:sleep()
        daytona.sleep(SLEEP)
        line:wake()
      end,
    }

    -- Lines that `next` gives: after the tenth it happens, and a while later the program ends.
    local function read_all(stop, next, happen)
      local lines = {}
      while true do
        local line, err = next()
        if not line then return lines, err end
        lines[#lines + 1] = line
        if #lines == 10 then happen() end
        if #lines == 30 then assert(box:exec("touch " .. stop, { check = true })) end
      end
    end

    for name, happen in pairs(HOW) do
      describe("where the line " .. name, function()
        local cases, gates, large = {}, {}, pieces.LARGE

        -- They last, so all of them begin with the first, each over a line of its own.
        local function begin()
          pieces.LARGE = 1000000
          for _, case in ipairs(cases) do
            local line, far = go_far()
            gates[#gates + 1] = line
            case.task = daytona.spawn(function()
              return loop.pcall(case.run, far, function() happen(line) end)
            end)
          end
        end

        local function lasts(title, run)
          local case = { run = run }
          cases[#cases + 1] = case
          it(title, function()
            if not case.task then begin() end
            local fine, err = case.task:wait(PATIENCE)
            if not fine then error(err, 0) end
          end)
        end

        teardown(function()
          pieces.LARGE = large
          for _, case in ipairs(cases) do
            if case.task then case.task:cancel() end
          end
          for _, line in ipairs(gates) do line:close() end
          assert(server:clear_faults())
        end)

        lasts("a follower of a command goes on", function(far, strike)
          local session = assert(far:session "roam")
          local command = assert(session:exec(COUNT:format("s1", "s1"), { async = true }))
          local follow = command:follow { idle_timeout = IDLE, timeout = LONG }
          local lines, err = read_all("s1", function() return follow.stdout:read "l" end, strike)
          assert.is_nil(err, tostring(err))
          assert_counted(lines)
          assert.equal(0, follow.exit_code)
          assert(session:delete())
        end)

        lasts("a job's reader goes on", function(far, strike)
          local job = assert(far:popen(COUNT:format("s2", "s2")))
          local lines, err = read_all("s2", function() return job:read("l", { timeout = LONG }) end, strike)
          assert.is_nil(err, tostring(err))
          assert_counted(lines)
          assert.equal(0, assert(job:wait()).exit_code)
          assert(job:close())
        end)

        lasts("a download goes on", function(far, strike)
          local size = 1200000
          assert(box:exec(("head -c %d /dev/urandom >big; touch -d @1700000000 big"):format(size), { check = true }))
          assert(server:faults { { path = "/files/download", slow = 4000000, times = 1 } })
          local happened, chunks = false, {}
          local info, err = far.fs:download("big", function(chunk)
            chunks[#chunks + 1] = chunk
            if not happened then strike() end
            happened = true
          end, { idle_timeout = STALL })
          assert.truthy(info, tostring(err))
          assert.is_true(table.concat(chunks) == assert(box.fs:read "big"))
        end)

        lasts("an upload goes on", function(far, strike)
          local data, happened = ("0123456789"):rep(200000), false
          assert(far.fs:write("up", data, { idle_timeout = STALL, on_progress = function(done)
            if not happened and done > 500000 then
              happened = true
              strike()
            end
          end }))
          assert.is_true(assert(box.fs:read "up") == data)
          assert.equal("", assert(box:exec("find . -name '.daytona-sync*'")).result)
        end)

        -- WebSockets are HTTP/1.1, also over TLS.
        if tls then return end

        lasts("a terminal goes on, or says that it is lost and can be taken up", function(far, strike)
          local pty = assert(far:pty { ping_interval = PINGS })
          assert(pty:write "PS1=; echo rea''dy\n")
          repeat until assert(pty:read("l", { timeout = LONG })):find "ready"
          strike()
          local wrote = assert(pty:write "echo al''ive\n")
          local line, err
          repeat line, err = pty:read("l", { timeout = LONG }) until not line or line:find "alive"
          if not line then
            assert.equal("idle_timeout", err.code, tostring(err))
            assert(pty:connect())
            assert(pty:write "echo al''ive\n")
            repeat line = assert(pty:read("l", { timeout = LONG })) until line:find "alive"
          end
          assert.is_true(wrote)
          assert(pty:close())
        end)

        lasts("a run of the interpreter goes on, or says that it is lost, with what it printed", function(far, strike)
          local happened
          local result, err = far.interpreter:run("import time\nprint('a', flush=True)\ntime.sleep(0.4)\nprint('b')", {
            on_stdout = function()
              if not happened then strike() end
              happened = true
            end,
          })
          if result then
            assert.is_nil(result.error)
          else
            assert.equal("idle_timeout", err.code, tostring(err))
          end
          assert.equal(name == "sleeps", result ~= nil)
        end)

        lasts("events go on, after a gap that is told", function()
          local line, chance = vanishing.start((server.api_url:match ":(%d+)/")), random.chance
          local other = assert(daytona.new {
            api_url = server.api_url:gsub(":%d+/", ":" .. line.port .. "/"), api_key = server.api_key,
          })
          random.chance = function() return 0.01 end -- of the time between tries
          gates[#gates + 1] = line
          local events = assert(other:events { kinds = { "volume.created" } })
          local turn = name:gsub(" ", "-")
          happen(line)
          assert(client.volumes:create("during-" .. turn))
          local event = assert(events:next { timeout = LONG })
          assert.equal(name == "sleeps" and "volume.created" or "gap", event.kind)
          assert(client.volumes:create("after-" .. turn))
          event = assert(events:next { timeout = LONG })
          random.chance = chance
          assert.equal("after-" .. turn, event.volume.name)
          events:close()
          other:close()
        end)
      end)
    end

    describe("with a line of its own,", function()
      local gate, far

      before_each(function() gate, far = go_far() end)
      after_each(function()
        assert(server:clear_faults())
        gate:close()
      end)

      -- Runs a command that has no time for dead connections.
      local function exec_soon(command)
        local grace = exec_call.GRACE
        exec_call.GRACE = 1
        local result, err = far:exec(command, { timeout = 1 })
        exec_call.GRACE = grace
        return result, err
      end

      it("what comes after a call that timed out does not use the dead connections, however many", function()
        local function exec(command) return function() return far:exec(command, { timeout = LONG }) end end
        local list = {}
        for i = 1, 5 do list[i] = exec "sleep 0.1" end
        assert(daytona.gather(list)) -- each over its own, with HTTP/1.1
        assert(server:faults { { path = "/files/info", hold = 20, times = 1 } })
        local waiting = daytona.spawn(function() return far.fs:stat "." end)
        daytona.sleep(0.05)
        gate:arm(0, "lose")
        local _, err = fs_calls.api.stat(far.fs, { path = "." }, { timeout = 0.3 })
        assert.equal("timeout", err.kind)
        for i = 1, 3 do assert.equal(i .. "\n", assert(exec_soon("echo " .. i)).result) end
        waiting:cancel()
        waiting:wait()
      end)

      it("a call that times out where others are answered costs no connection", function()
        if not tls then return end -- each has its own
        assert(server:faults { { path = "/files/info", hold = 20, times = 1 } })
        assert(far:exec "true")
        local before, over = loop.engine():stats().connects, false
        local other = daytona.spawn(function()
          while not over do assert(far:exec "true") end
        end)
        local _, err = fs_calls.api.stat(far.fs, { path = "." }, { timeout = 0.4 })
        over = true
        assert.equal("timeout", err.kind)
        other:wait()
        assert(far:exec "true")
        assert.equal(before, loop.engine():stats().connects)
      end)

      it("what comes after a call that was given up in a silence does not use the dead connection", function()
        assert(server:faults { { path = "/files/info", hold = 20, times = 1 } })
        assert(far:exec "true")
        gate:arm(0, "lose")
        local _, err = daytona.within(1.1, function() return far.fs:stat "." end)
        assert.equal("timeout", err.kind)
        assert.equal("new\n", assert(exec_soon "echo new").result)
      end)

      it("a proxy that ends what is quiet does not end what sends pings, nor what comes later", function()
        websocket.ping_interval = 0.1
        finally(function() websocket.ping_interval = PINGS end)
        local session = assert(far:session "quiet")
        local follow = assert(session:exec("echo a; sleep 1; echo b", { async = true })):follow { timeout = LONG }
        assert.equal("a", follow.stdout:read "l")
        gate:idle(0.5)
        assert.equal("b", follow.stdout:read "l")
        assert.equal("new\n", assert(exec_soon "echo new").result)
        assert.is_nil(follow.stdout:read "l")
      end)
    end)
  end)
end
