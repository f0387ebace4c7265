-- What code in a sandbox of the local server can do to its machine, to its server and
-- to other sandboxes: nothing, where the server says that it is isolated. Each case is
-- an attack that once worked, or could. Where bubblewrap cannot work, or the server says
-- that there is no boundary, they are skipped, and say so.

local daytona = require "daytona"
local devserver = require "daytona.devserver"
local toolbox = require "spec.support.toolbox"

local sh = toolbox.sh

describe("a sandbox of the local server", function()
  local server, client, box, other

  setup(function()
    server = assert(devserver.start { key = "attackkey_0123456789abcdef" })
    client = assert(daytona.new { api_url = server.api_url, api_key = server.api_key })
    box, other = assert(client:create { name = "attacker" }), assert(client:create { name = "victim" })
  end)

  teardown(function()
    client:close()
    server:stop()
  end)

  -- Runs a command in the attacker's sandbox.
  local function try(command)
    local result = assert(box:exec(command .. "\n", { timeout = 60 }))
    return result.result, result.exit_code
  end

  local function attack(title, fn)
    it(title, function()
      if not server.isolated then return pending "no boundary on this machine: bubblewrap is missing or refused" end
      fn()
    end)
  end

  attack("sees of /etc what programs need, and no secrets", function()
    for _, path in ipairs { "shadow", "shadow-", "gshadow", "sudoers", "ssl/private", "ssh", "fstab" } do
      local text, code = try("cat /etc/" .. path .. "; ls /etc/" .. path)
      assert.truthy(code ~= 0 and text:find "No such file", path .. ": " .. text)
    end
    assert.equal("daytona", (try "id -un":gsub("%s", "")))
    assert.truthy(try "getent hosts localhost":find "localhost")
    assert.equal(0, select(2, try "test -r /etc/ld.so.cache && test -r /etc/nsswitch.conf"))
  end)

  attack("has no capability and gets none, also by a set-uid program", function()
    local status = try "cat /proc/self/status"
    for _, name in ipairs { "CapPrm", "CapEff", "CapAmb" } do
      assert.equal("0000000000000000", status:match(name .. ":%s*(%x+)"), name)
    end
    assert.equal("1", status:match "NoNewPrivs:%s*(%d)")
    assert.not_equal("0", (try "id -u":gsub("%s", "")))
    assert.not_equal(0, select(2, try "mount -o remount,rw,bind /usr; touch /usr/.probe"))
    assert.not_equal(0, select(2, try "su -c true; sudo -n true; chroot / true"))
  end)

  attack("cannot write the kernel's settings", function()
    assert.equal("0", (try "find /proc/sys -writable -type f 2>/dev/null | wc -l":gsub("%s", "")))
    -- the value that is there already: whatever happens, nothing changes
    local text = try [[f=/proc/sys/kernel/core_pattern; v=$(cat $f); echo "$v" >$f && echo written]]
    assert.falsy(text:find "written")
    assert.falsy(try "test -w /proc/sysrq-trigger && echo writable":find "writable")
  end)

  attack("cannot write outside its own folders", function()
    assert.equal("", try [[for d in / /usr /etc /opt /proc /dev/.. /run/daytona/lua /home; do
      touch $d/.probe 2>/dev/null && echo $d; done]])
    assert.equal(0, select(2, try "touch /tmp/a /var/tmp/a /dev/shm/a ~/a && rm /tmp/a /var/tmp/a /dev/shm/a ~/a"))
  end)

  attack("sees no other sandbox's files, nor the server's, by no path and no link", function()
    assert(other:exec "echo precious >~/precious")
    assert.equal("", try("ls -d " .. server.dir .. " 2>/dev/null; ls -A /home | grep -v daytona"))
    local theirs = "/sandboxes/" .. other.id .. "/home/precious"
    for _, target in ipairs { server.dir .. theirs, server.dir .. "/key", "/proc/1/root" .. server.dir .. "/key",
      "/proc/1/cwd/../../precious", "../.." .. theirs } do
      try("rm -f ~/link; ln -s '" .. target .. "' ~/link")
      assert.falsy(try "cat ~/link":find("precious\n", 1, true))
      assert.is_nil((box.fs:read "link"))
      assert.is_nil((box.fs:write("link", "overwritten")))
    end
    assert.equal("precious\n", assert(other:exec "cat ~/precious").result)
  end)

  attack("sees and ends no process but its own", function()
    assert(other:exec "sleep 61.5 >/dev/null 2>&1 &")
    assert.falsy(try "cat /proc/*/cmdline | tr '\\0' ' '":find("61.5", 1, true))
    local pid = sh("pgrep -f '^sleep 61.5'"):match "%d+"
    try("kill -9 " .. pid .. "; kill -9 -1; true")
    assert.truthy(sh("cat /proc/" .. pid .. "/cmdline"):find("61.5", 1, true))
    assert.is_true(client:ping())
    assert.equal("alive\n", assert(box:exec "echo alive").result)
  end)

  attack("does not find the key in its daemon: not in memory, environment, descriptors, arguments", function()
    for _, path in ipairs { "mem", "environ", "maps", "fd/3", "root/etc" } do
      try("head -c 10 /proc/1/" .. path .. " >/dev/null")
      assert.not_equal(0, select(2, try("head -c 1 /proc/1/" .. path .. " 2>/dev/null | grep -q .")), path)
    end
    assert.falsy(try "cat /proc/1/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'":find(server.api_key, 1, true))
    assert.truthy(try [[python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print("attach", libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno()))']]:find "attach %-1")
  end)

  attack("gives its daemon no code of its own to load", function()
    for _, name in ipairs { "cqueues", "ffi", "posix/signal", "cjson", "http/websocket", "daytona/devserver/json" } do
      try(("mkdir -p ~/%s; echo 'os.execute [[touch /tmp/loaded]] error(1)' >~/%s.lua")
        :format(name:match "^(.*)/" or ".", name))
    end
    box:exec "kill 1"                  -- the next request starts it anew, in a folder that is the sandbox's
    local text
    for _ = 1, 50 do
      local result = box:exec "ls /tmp/loaded 2>&1"
      text = result and result.result
      if text then break end
      daytona.sleep(0.1)
    end
    assert.truthy(text:find "No such file")
    try "rm -rf ~/*"
  end)

  attack("does not get a stopped sandbox's port, and so not the key", function()
    local stopped = assert(client:create { name = "stopped" })
    assert(stopped:exec "true")
    local port = stopped.toolbox_proxy_url:match ":(%d+)"
    assert(stopped:stop())
    local text = try(([[python3 -c '
import socket
for host in "127.0.0.1", "0.0.0.0":
    for option in 0, socket.SO_REUSEADDR, socket.SO_REUSEPORT:
        s = socket.socket()
        if option: s.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            s.bind((host, %s)); s.listen()
            print("bound", host, option)
        except OSError as e: print(e.strerror)']]):format(port))
    assert.truthy(text:find "in use")
    assert.falsy(text:find "bound", text)
    local _, err = stopped:exec "true"
    assert.equal("invalid", err.kind)
    assert.truthy(err.message:find("Is the Sandbox started?", 1, true))
    assert(stopped:start())
    assert.equal(port, stopped.toolbox_proxy_url:match ":(%d+)")
    assert.equal("back\n", assert(stopped:exec "echo back").result)
    assert(stopped:delete())
  end)

  attack("is refused by other sandboxes' daemons and by the control plane", function()
    for _, url in ipairs { other.toolbox_proxy_url .. "/" .. other.id .. "/process/execute",
      server.api_url .. "/sandbox", (server.api_url:gsub("/api$", "")) .. "/__devserver/stats" } do
      assert.equal("401", try("curl -s -m 10 -o /dev/null -w '%{http_code}' -d '{}' '" .. url .. "'"))
    end
  end)

  attack("has at most so many processes, and no file larger than its disk", function()
    local limits = try "cat /proc/self/limits"
    assert.truthy(limits:find "Max file size%s+3221225472")
    local processes = tonumber(limits:match "Max processes%s+(%d+)")
    if processes then assert.truthy(processes <= 4096) end
    assert.not_equal(0, select(2, try "truncate -s 4G ~/large"))
    assert.is_nil((box.fs:stat "large" or {}).size == 4 * 1024 ^ 3 or nil)
    assert.equal("0", limits:match "Max core file size%s+(%d+)")
  end)

  it("is said to be isolated only where one of the ways that hold is used", function()
    local stats = assert(server:stats())
    local how = stats.isolation
    assert.equal(how == "user" or how == "root", server.isolated)
    assert.equal(server.isolated, stats.isolated)
  end)

  it("is said not to be isolated where bubblewrap refuses, and the user is warned", function()
    local dir = sh "mktemp -d":match "%S+"
    -- root is left with a user namespace, in which it acts outside as root; others with nothing
    toolbox.write(dir .. "/bwrap", ("#!/bin/sh\ncase \"$*\" in *--cap-drop*) exit 1;; esac\n"
      .. "[ $(id -u) = 0 ] || exit 1\nexec '%s' \"$@\"\n"):format(sh "command -v bwrap || echo false":match "%S+"))
    sh("chmod +x " .. dir .. "/bwrap")
    local text = sh(("cd %s; PATH=.:$PATH %s/bin/daytona-devserver --child 2>err | head -1; cat err")
      :format(dir, sh "pwd":match "[^\n]+"))
    assert.truthy(text:find('"isolated":false', 1, true), text)
    assert.truthy(text:find "run as you and see your files" or text:find "run no code that you do not trust")
    sh("rm -r " .. dir)
  end)
end)
