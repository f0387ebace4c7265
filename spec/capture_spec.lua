-- Commands whose output a model is given: run by the shell here, in a folder of the spec's own.

local capture = require "daytona.agent.capture"
local daytona = require "daytona"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local memory_box = require "spec.support.memory_box"
local shell = require "daytona.base.shell"

local folder, box, timed_out, asked

before_each(function()
  local pipe = io.popen "mktemp -d"
  folder = pipe:read "*l"
  pipe:close()
  timed_out, asked = false, {}
  box = memory_box.new({}, function(script, opts)
    asked[#asked + 1] = opts
    script = script:gsub("/tmp/%.daytona%-output", folder .. "/out")
    local out = io.popen(("HOME=%s sh -c %s; echo \"[$?]\""):format(folder, shell.quote(script)))
    local text, code = out:read("*a"):match "^(.*)%[(%d+)%]\n$"
    out:close()
    if timed_out then
      timed_out = false
      return { result = "", exit_code = -1, timed_out = true }
    end
    return { result = text, exit_code = tonumber(code) }
  end)
end)

after_each(function() os.execute("rm -rf " .. folder) end)

local function files()
  local pipe = io.popen(("ls %s/out 2>/dev/null | wc -l"):format(folder))
  local n = tonumber((pipe:read "*a"))
  pipe:close()
  return n
end

local content = require("spec.support.toolbox").read

describe("a command's output", function()
  it("is what it printed, where that fits, and leaves no file", function()
    local done = assert(capture.run(box, "echo out; echo err >&2; exit 3",
      { timeout = 9, cwd = "/x", env = { A = "1" }, lines = 2, bytes = 8 }))
    assert.same({ exit_code = 3, text = "out\nerr\n" }, done)
    assert.same({ { timeout = 9, cwd = "/x", env = { A = "1" } } }, asked)
    assert.equal(0, files())
    assert.same({ nil, "the command is empty" }, { capture.run(box, " \n", { timeout = 9 }) })
  end)

  it("is its ends with a note where it has too many lines, or bytes, and all of it is in a file", function()
    for _, limits in ipairs { { lines = 4, bytes = 1000 }, { lines = 100, bytes = 8 } } do
      limits.timeout = 9
      local done = assert(capture.run(box, "seq 1 9", limits))
      local note = ("[... 10 bytes left out; the whole output is in %s ...]"):format(done.file)
      assert.equal("1\n2\n\n" .. note .. "\n8\n9\n", done.text)
      assert.equal("1\n2\n3\n4\n5\n6\n7\n8\n9\n", content(done.file))
    end
    assert.is_nil(assert(capture.run(box, "seq 1 9", { timeout = 9, lines = 9, bytes = 18 })).file)
    assert.is_string(assert(capture.run(box, "seq 1 9", { timeout = 9, lines = 8, bytes = 18 })).file)
    assert.is_string(assert(capture.run(box, "seq 1 9", { timeout = 9, lines = 9, bytes = 17 })).file)
  end)

  it("has 2,000 lines and 50 KiB where nothing else is said, and is UTF-8", function()
    assert.is_nil(assert(capture.run(box, "seq 1 2000", { timeout = 9 })).file)
    assert.is_string(assert(capture.run(box, "seq 1 2001", { timeout = 9 })).file)
    assert.is_nil(assert(capture.run(box, "head -c 51200 /dev/zero | tr '\\0' x", { timeout = 9 })).file)
    assert.is_string(assert(capture.run(box, "head -c 51201 /dev/zero | tr '\\0' x", { timeout = 9 })).file)
    assert.equal("a\239\191\189b", assert(capture.run(box, "printf 'a\\377b'", { timeout = 9 })).text)
  end)

  it("is not lost when its time is over", function()
    timed_out = true
    local done = assert(capture.run(box, "seq 1 9", { timeout = 9, lines = 4, bytes = 100 }))
    assert.is_true(done.timed_out)
    assert.equal(-1, done.exit_code)
  end)

  it("is there where the folder cannot be written", function()
    local file = assert(io.open(folder .. "/out", "w"))
    file:close()
    assert.same({ exit_code = 4, text = "hi\n" }, assert(capture.run(box, "echo hi; exit 4", { timeout = 9 })))
  end)

  it("of a job is that of its file", function()
    os.execute(("mkdir -p %s/.daytona/lua-jobs/j && seq 1 9 >%s/.daytona/lua-jobs/j/out"):format(folder, folder))
    local job = { id = "j", result = { exit_code = 5, reason = "exited" } }
    local done = assert(capture.of_job(box, job, { lines = 4, bytes = 100 }))
    assert.same({ 5, false }, { done.exit_code, done.timed_out })
    assert.matches("^1\n2\n\n%[%.%.%. 10 bytes left out; .*8\n9\n$", done.text)
    job.result.reason = "timed_out"
    done = assert(capture.of_job(box, job, {}))
    assert.same({ true, "1\n2\n3\n4\n5\n6\n7\n8\n9\n" }, { done.timed_out, done.text })
    assert.equal("1\n2\n3\n4\n5\n6\n7\n8\n9\n", content(folder .. "/.daytona/lua-jobs/j/out"))
  end)

  it("is told line by line meanwhile, each once, to who wants it", function()
    local heard, tails, real_sleep = {}, { "one\n", "one\n", nil, "one\ntwo \n\n", "\n", "x\255" }, loop.sleep
    local looked = {}
    box.fs.tail = function(_, _, opts)
      looked[#looked + 1] = opts.bytes
      return tails[#looked]
    end
    local exec = box.exec
    box.exec = function(...)
      for _ = 1, 7 do real_sleep(0) end
      return exec(...)
    end
    local slept = {}
    loop.sleep = function(seconds) -- luacheck: ignore
      slept[#slept + 1] = seconds
      if #slept > 6 then return nil end
      return real_sleep(0)
    end
    finally(function() loop.sleep = real_sleep end) -- luacheck: ignore
    assert(daytona.spawn(function()
      return capture.run(box, "true", { timeout = 9, on_line = function(line) heard[#heard + 1] = line end })
    end):wait())
    assert.same({ "one", "two ", "x\239\191\189" }, heard)
    assert.same({ 0.3, 1, 1 }, { slept[1], slept[2], slept[3] })
    assert.equal(400, looked[1])
  end)

  it("that nobody will read leaves no file, and a failure is told", function()
    local removed
    local function given_up() return nil, errors.new { kind = "canceled", message = "canceled" } end
    box.exec = function(_, script)
      if script:find "^rm %-f /tmp/%.daytona%-output/%w+%.txt$" then removed = script end
      return given_up()
    end
    assert.equal("canceled", select(2, capture.run(box, "x", { timeout = 9 })).kind)
    assert.is_string(removed)
    removed = nil
    given_up = function() return nil, errors.new { kind = "server", message = "no" } end
    assert.equal("server", select(2, capture.run(box, "x", { timeout = 9 })).kind)
    assert.is_nil(removed)
    assert.equal("server", select(2, capture.of_job(box, { id = "j", result = {} }, {})).kind)
  end)
end)
