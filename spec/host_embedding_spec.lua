-- The programs of doc/embedding.md, as they stand there, and the examples for
-- hosts. `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"
local loop = require "daytona.loop"
local nginx = require "spec.support.nginx"
local shell = require "daytona.base.shell"

local function page()
  local file = assert(io.open "doc/embedding.md")
  local text = file:read "*a"
  file:close()
  return text
end

-- The page's programs: those whose first line names a host.
local function programs()
  local text = page()
  local list = {}
  for program in text:gmatch "```lua\n(.-)```" do
    local host = program:match "^%-%- (%w+)\n"
    if host then list[#list + 1] = { host = host, text = program } end
  end
  return list
end

-- What each must print, in the order of the page.
local SAYS = {
  { "plain", "one\n.*number 1\nnumber 2\nnumber 3\n" },
  { "neovim", "42" },
  { "neovim", "called back" },
  { "luv", "%..*done" },
  { "cqueues", "posted" },
  { "love", "Linux" },
}

local COMMANDS = {
  plain = "lua5.4 %s", luv = "lua5.4 %s", cqueues = "luajit %s", love = "xvfb-run -a love %s",
  neovim = "nvim --headless -u NONE -i NONE -n --cmd 'set rtp^=.' -c 'luafile '%s",
}

describe("the page 'Embedding' #host", function()
  local stage, env

  setup(function()
    stage = hosts.stage()
    env = stage:env {
      LUA_PATH = stage.root .. "/lua/?.lua;" .. stage.root .. "/lua/?/init.lua;;",
    }
  end)
  teardown(function() stage:close() end)

  local function write(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end

  -- How many sandboxes there are besides the stage's own, once those that are
  -- being deleted are gone.
  local function left_over()
    local deadline = loop.now() + 5
    local n
    repeat
      n = -1
      for _ in stage.client:each() do n = n + 1 end
    until n == 0 or loop.now() > deadline or not loop.sleep(0.05)
    return n
  end

  it("has a program for each host", function()
    local found = {}
    for i, program in ipairs(programs()) do found[i] = program.host end
    local wanted = {}
    for i, row in ipairs(SAYS) do wanted[i] = row[1] end
    assert.same(wanted, found)
  end)

  for i, program in ipairs(programs()) do
    it(("runs in %s as it stands (%d)"):format(program.host, i), function()
      local path = stage.dir .. "/main.lua"
      write(path, program.text)
      if program.host == "love" then path = stage.dir end
      local said = hosts.command(COMMANDS[program.host]:format(shell.quote(path)), env)
      assert.equal(0, said.exit, said.text)
      assert.matches(SAYS[i][2], said.text)
    end)
  end

  it("runs in nginx as it stands", function()
    local path = stage.dir .. "/nginx.conf"
    write(path, assert(page():match "```nginx\n(# openresty\n.-)```"))
    local server = nginx.start { config = path, env = env }
    local body = server:get("/", "echo in nginx")
    local log = server:stop()
    assert.equal("in nginx\n", body, log)
  end)

  it("nothing is left on the server", function()
    assert.equal(0, left_over())
  end)

  it("the examples cqueues and luv run in Lua 5.4 and LuaJIT", function()
    for _, lua in ipairs { "lua5.4", "luajit" } do
      for _, name in ipairs { "cqueues", "luv" } do
        local said = hosts.command(("%s examples/%s.lua"):format(lua, name), env)
        assert.equal(0, said.exit, said.text)
        for n = 1, 5 do assert.matches("command " .. n, said.text) end
        assert.matches("meanwhile .* ran: yes", said.text)
      end
    end
  end)

  it("the example for LÖVE plays by itself and keeps a picture", function()
    local picture = stage.dir .. "/shot.png"
    -- In its own folder, as people start it, too.
    local said = hosts.command("sh -c 'cd examples/love && exec xvfb-run -a love ./ --demo " .. picture .. "'", env)
    assert.equal(0, said.exit, said.text)
    local file = assert(io.open(picture, "rb"), said.text)
    assert.equal("\137PNG", file:read(4))
    file:close()
    assert.equal(0, left_over())
  end)

  describe("the example plugin for Neovim", function()
    -- Runs commands in an editor that has the plugin, on a file.
    local function edit(name, text, program)
      write(stage.dir .. "/" .. name, text)
      return stage:run("neovim", ([[
        vim.opt.runtimepath:append "examples/neovim"
        vim.cmd "runtime plugin/sandbox_run.lua"
        vim.cmd("edit " .. vim.env.STAGE .. "/%s")
        local plugin = require "sandbox_run"
        local function output()
          local buffer = vim.fn.bufnr "sandbox://output"
          return buffer > 0 and table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|") or ""
        end
        local function wait_for(fn) assert(vim.wait(20000, fn, 5), plugin.status()) end
      ]]):format(name) .. program)
    end

    it("runs the buffer and shows its output in a split", function()
      local said = edit("a.py", "import sys\nprint('from the buffer')\nsys.exit(3)\n", [[
        vim.bo.filetype = "python"
        vim.cmd "SandboxRun"
        say("windows", vim.fn.winnr "$")
        wait_for(function() return plugin.status():find "exit" end)
        say("output", output())
        say("status", plugin.status())
        vim.cmd "qa!"
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal(2, said.windows)
      assert.equal("from the buffer|[exit 3]", said.output)
      assert.equal("sandbox: exit 3", said.status)
    end)

    it("shows lines as they are printed", function()
      local said = edit("d.py", "import time\nprint('early')\ntime.sleep(1.5)\nprint('late')\n", [[
        vim.bo.filetype = "python"
        vim.cmd "SandboxRun"
        wait_for(function() return output():find "early" end)
        say("output", output())
        say("status", plugin.status())
        wait_for(function() return plugin.status():find "exit" end)
        say("after", output())
        vim.cmd "qa!"
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("early", said.output)
      assert.equal("sandbox: running", said.status)
      assert.equal("early|late|[exit 0]", said.after)
    end)

    it("follows the output where the cursor is at its end, and opens it again", function()
      local said = edit("e.py", "for i in range(40): print(i)\n", [[
        vim.bo.filetype = "python"
        vim.cmd "SandboxRun"
        wait_for(function() return plugin.status():find "exit" end)
        local window = vim.fn.bufwinid(vim.fn.bufnr "sandbox://output")
        say("at", vim.api.nvim_win_get_cursor(window)[1])
        vim.api.nvim_win_set_cursor(window, { 3, 0 })
        vim.cmd "SandboxRun"
        wait_for(function() return plugin.status():find "running" end)
        wait_for(function() return plugin.status():find "exit" end)
        say("again", vim.api.nvim_win_get_cursor(window)[1])
        vim.api.nvim_win_close(window, true)
        vim.cmd "SandboxOpen"
        say("windows", vim.fn.winnr "$")
        vim.cmd "helptags examples/neovim/doc"
        vim.cmd "help :SandboxOpen"
        say("help", vim.fn.expand "%:t")
        vim.cmd "qa!"
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal(41, said.at)
      assert.equal(41, said.again)
      assert.equal(2, said.windows)
      assert.equal("sandbox_run.txt", said.help)
    end)

    it("runs a range, and one key cancels what runs", function()
      local said = edit("b.sh", "exit 1\necho second\nsleep 1003\n", [[
        vim.bo.filetype = "sh"
        vim.cmd "2SandboxRun"
        wait_for(function() return plugin.status():find "exit" end)
        say("output", output())
        vim.cmd "3SandboxRun"
        wait_for(function() return plugin.status():find "running" end)
        vim.cmd "wincmd j"
        vim.api.nvim_feedkeys("q", "x", false)
        wait_for(function() return plugin.status():find "cancelled" end)
        say("after", output())
        vim.cmd "qa!"
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal("second|[exit 0]", said.output)
      assert.equal("[cancelled]", said.after)
    end)

    it("leaves no sandbox when the editor is left in the middle", function()
      local said = edit("c.sh", "sleep 1004\n", [[
        vim.bo.filetype = "sh"
        vim.cmd "SandboxRun"
        wait_for(function() return plugin.status():find "running" end)
        vim.cmd "qa!"
      ]])
      assert.equal(0, said.exit, said.text)
      assert.equal(0, left_over())
    end)
  end)
end)
