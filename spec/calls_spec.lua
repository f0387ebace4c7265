-- The one way to make a call: rows of a table become functions.

local calls = require "daytona.http.calls"
local errors = require "daytona.base.errors"

describe("a row of a table of calls", function()
  local peer, connection

  setup(function()
    peer = require("spec.support.peer").start()
    local daytona = require "daytona"
    connection = assert(daytona.new { api_url = peer.url, api_key = "k" }).connection
  end)
  teardown(function() peer:close() end)

  -- Functions whose requests are looked at in place of being sent.
  local function watched(rows, answer)
    local http = require "daytona.http"
    local seen = {}
    local real = http.request
    local api = calls.make(rows, { connect = function() return connection end })
    for name, call in pairs(api) do
      api[name] = function(...)
        http.request = function(_, request)
          seen.request = request
          local flaw = request.flaw and answer and request.flaw(answer, request)
          if flaw then return nil, errors.new { kind = "protocol" } end
          return { status = 200, body = "", json = answer }
        end
        local ok, value, err = pcall(call, ...)
        http.request = real
        assert(ok, value)
        return value, err
      end
    end
    return api, seen
  end

  it("puts values into the path, the query and the body, under the wire's names", function()
    local api, seen = watched {
      resize = { "POST", "/pty/{id}/resize/{way_out}", query = { "dry_run" }, lists = { "env_names" } },
    }
    assert.is_true(api.resize({ id = "mine" },
      { way_out = "a/b", dry_run = true, max_cols = 3, env_names = {}, labels = { a_b = "c" } }))
    local request = seen.request
    assert.equal("POST", request.method)
    assert.equal("/pty/mine/resize/a%2Fb", request.path)
    assert.same({ dryRun = true }, request.query)
    assert.same({ maxCols = 3, envNames = {}, labels = { a_b = "c" } }, request.json)
    assert.same({ envNames = true }, request.lists)
    assert.equal("resize", request.operation)
    assert.is_nil(request.what) -- it is about the subject
    api, seen = watched { get = { "GET", "/it/{name}" }, make = { "POST", "/it", what = "title" } }
    api.get({}, { name = "n" })
    assert.equal("n", seen.request.what)
    api.make({}, { title = "t" })
    assert.equal("t", seen.request.what)
  end)

  it("has no body where there can be none, and one where it must be", function()
    local api, seen = watched {
      list = { "GET", "/list" }, remove = { "DELETE", "/it" }, drop = { "DELETE", "/it", body = true },
      touch = { "POST", "/touch" }, make = { "POST", "/make", body = true },
    }
    api.list({}, { page_size = 2 })
    assert.same({ pageSize = 2 }, seen.request.query)
    assert.is_nil(seen.request.json)
    api.remove({}, { force = true })
    assert.same({ force = true }, seen.request.query)
    api.drop({}, { name = "x" })
    assert.same({ name = "x" }, seen.request.json)
    api.touch {}
    assert.is_nil(seen.request.json)
    api.make {}
    assert.same({}, seen.request.json)
  end)

  it("sends names as they are where the wire has ours", function()
    local api, seen = watched { clone = { "POST", "/git/clone", as_is = true, secret = { "pass_word" } } }
    api.clone({}, { commit_id = "1", pass_word = "s3cret" })
    assert.same({ commit_id = "1", pass_word = "s3cret" }, seen.request.json)
    assert.same({ "s3cret" }, seen.request.secrets)
  end)

  it("gives the answer in Lua's names, to the flaw and to who refines it, too", function()
    local saw
    local rows = {
      get = { "GET", "/it", "object", flaw = function(it) saw = it.created_at; return it.flaw end,
        refine = function(it, subject, values) return { of = subject, at = it.created_at, by = values.by } end },
      raw = { "GET", "/it", "object", raw = true },
    }
    local api = watched(rows, { createdAt = "now" })
    local subject = {}
    assert.same({ of = subject, at = "now", by = 1 }, api.get(subject, { by = 1 }))
    assert.equal("now", saw)
    assert.same({ createdAt = "now" }, api.raw(subject))
    api = watched(rows, { flaw = "no such thing" })
    local value, err = api.get(subject)
    assert.is_nil(value)
    assert.equal("protocol", err.kind)
  end)

  it("says what an error means: who is asked first, then the row", function()
    local api = calls.make({
      gone = { "GET", "/status/404", "object", since = "9", explain = function(err, subject, values)
        err.code = subject.name .. values.a
        return err
      end },
    }, {
      connect = function() return connection end,
      explain = function(err, row) err.kind = row.since == "9" and "unsupported" or err.kind; return err end,
    })
    local value, err = api.gone({ name = "n" }, { a = 1 })
    assert.is_nil(value)
    assert.equal("unsupported", err.kind)
    assert.equal("n1", err.code)
  end)

  it("makes a method that checks what it is given", function()
    local api, seen = watched {
      add = { "POST", "/git/add", args = { { "path", "text" }, { "depth", "count", optional = true } },
        options = { author = "text", timeout = "seconds" } },
    }
    -- `method` takes a function that `make` returned: made again, as these are watched.
    local made = calls.make({
      add = { "POST", "/ok", args = { { "path", "text" }, { "depth", "count", optional = true } },
        options = { author = "text", timeout = "seconds" } },
    }, { connect = function() return connection end })
    local add = calls.method(made.add)
    assert.is_true(add({}, "p", nil, { author = "me", timeout = 5 }))
    assert.is_true(add({}, "p"))
    assert.has_error(function() add({}, "") end)
    assert.has_error(function() add({}, "p", -1) end)
    assert.has_error(function() add({}, "p", 1, { autor = "me" }) end)
    local _, text = pcall(add, {}, "p", 1, { autor = "me" })
    assert.matches("calls_spec.lua:%d+: add: unknown option 'autor' %(did you mean 'author'%?%)", text)
    api.add({}, { path = "p" }, { timeout = 5 })
    assert.equal(5, seen.request.timeout)
  end)

  it("takes what a caller adds in the wire's own names, and what the request is to be", function()
    local api, seen = watched {
      find = { "POST", "/find", "text", query = { "page" }, timeout = 7, operation = "search", optional = true,
        safe = true },
      get = { "GET", "/it/{name}/of/{other}" },
    }
    api.find({}, { page = 1, what_for = "x" }, { extra_query = { rawName = 2 }, extra = { rawBody = 3 }, timeout = 9,
      what = "mine" })
    local request = seen.request
    assert.same({ page = 1, rawName = 2 }, request.query)
    assert.same({ whatFor = "x", rawBody = 3 }, request.json)
    assert.same({ 9, "mine", "search", true, true }, { request.timeout, request.what, request.operation,
      request.optional, request.safe })
    assert.is_nil(request.answer)
    api.find({}, {})
    assert.is_nil(seen.request.query)
    assert.equal(7, seen.request.timeout)
    api.find({}, nil, { extra = { rawBody = 3 } })
    assert.same({ rawBody = 3 }, seen.request.json)
    api.get({ id = "own" }, { name = "a" })
    assert.same({ "/it/a/of/own", nil }, { seen.request.path, seen.request.what })
    api.get({ id = "own" }, { name = "a", other = "b" })
    assert.same({ "/it/a/of/b", "a" }, { seen.request.path, seen.request.what })
    assert.is_nil(seen.request.query)
  end)

  it("gives text, the whole answer, or true, by what the row says", function()
    local api = calls.make({
      text = { "GET", "/reply?body=abc", "text" }, whole = { "GET", "/reply?body=abc", "response" },
      none = { "GET", "/reply?body=abc" }, value = { "GET", "/reply?body=%7B%22a%22%3A1%7D", "object" },
      empty = { "GET", "/reply", "object", optional = true, refine = function() error "of nothing" end },
      least = { "GET", "/reply?body=false", "any" },
    }, { connect = function() return connection end })
    assert.equal("abc", api.text {})
    assert.equal(200, api.whole({}).status)
    assert.is_true(api.none {})
    assert.same({ a = 1 }, api.value {})
    assert.is_true(api.empty {})
    assert.is_false(api.least {})
  end)

  it("looks at each item of a list, and at the list", function()
    local function list(row)
      row[1], row[2], row[3] = "GET", "/reply?body=%5B%7B%22aB%22%3A1%7D,%7B%22aB%22%3A2%7D%5D", "list"
      return calls.make({ list = row }, { connect = function() return connection end }).list {}
    end
    assert.same({ { a_b = 1 }, { a_b = 2 } }, list {})
    assert.same({ { aB = 1 }, { aB = 2 } }, list { raw = true })
    assert.same({ { a_b = 1 }, { a_b = 2 } }, list { item_flaw = function() end, flaw = function() end })
    local none, err = list { item_flaw = function(item) return item.a_b == 2 and "odd" or nil end }
    assert.is_nil(none)
    assert.matches("the answer is odd", err.message)
    none, err = list { flaw = function(all) return #all == 2 and "two" or nil end }
    assert.is_nil(none)
    assert.matches("the answer is two", err.message)
  end)

  it("asks before anything is sent", function()
    local asked
    local refused = errors.new { kind = "unsupported" }
    local api = calls.make({
      no = { "GET", "/no", before = function(subject, values) asked = { subject, values }; return nil, refused end },
      yes = { "GET", "/ok", before = function() return true end },
    }, {
      connect = function() return connection end,
      about = function(subject, request) request.what = subject.name end,
    })
    local before = peer:stats().requests["/no"]
    assert.same({ nil, refused }, { api.no({ name = "n" }, { a = 1 }) })
    assert.same({ { name = "n" }, { a = 1 } }, asked)
    assert.equal(before, peer:stats().requests["/no"])
    assert.is_true(api.yes {})
  end)

  it("knows its path, for who opens a WebSocket there", function()
    local api = calls.make({ open = { "GET", "/pty/{id}/{part}" } }, { connect = function() end })
    assert.equal("/pty/i/p%2Fq", calls.path(api.open, { id = "i" }, { part = "p/q" }))
    assert.equal("/pty/i/i", calls.path(api.open, { id = "i" }))
  end)

  it("makes a method whose values may be changed before they are sent", function()
    local given
    local made = calls.make({
      set = { "POST", "/ok", args = { { "first_one", "text" }, { "second", "count", optional = true } },
        options = { deep = "boolean", timeout = "seconds", max_bytes = "positive" },
        prepare = function(values, request) given = { values, request } end },
    }, { connect = function() return connection end })
    local set = calls.method(made.set)
    assert.is_true(set({}, "a", 2, { deep = true, timeout = 3, max_bytes = 400 }))
    assert.same({ { first_one = "a", second = 2, deep = true }, { timeout = 3, max_bytes = 400 } }, given)
    assert.is_true(set({}, "a"))
    assert.same({ { first_one = "a" }, {} }, given)
    local _, text = pcall(function() return (set({}, nil)) end)
    assert.matches("set: the first one must be", text)
    _, text = pcall(function() return (set({}, "a", nil, 5)) end)
    assert.matches("set: options must be a table", text)
  end)

  it("returns why there is no way", function()
    local api = calls.make({ x = { "GET", "/x" } }, {
      connect = function(_, operation) return nil, errors.new { kind = "not_found", operation = operation } end,
    })
    local value, err = api.x {}
    assert.is_nil(value)
    assert.equal("x", err.operation)
  end)
end)
