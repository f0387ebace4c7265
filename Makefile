# Builds the C module, once for each Lua, side by side; `make help` lists what
# else there is. What runs the tests stands in scripts/test, what installs
# missing packages in scripts/setup.

LUA = lua5.4
PREFIX = /usr/local
CFLAGS = -O2 -g
PKG_CONFIG = pkg-config

# --- the Lua in use -----------------------------------------------------------

ifeq ($(filter $(LUA),lua5.1 lua5.2 lua5.3 lua5.4 luajit),)
$(error LUA is one of lua5.4 lua5.3 lua5.2 lua5.1 luajit)
endif

LUA_V = $(patsubst lua%,%,$(subst luajit,lua5.1,$(LUA)))
LUA_HOME = $(subst luajit,luajit-2.1,$(LUA))
INST_LIBDIR = $(PREFIX)/lib/lua/$(LUA_V)
INST_LUADIR = $(PREFIX)/share/lua/$(LUA_V)
INST_BINDIR = $(PREFIX)/bin

# --- flags --------------------------------------------------------------------

# pkg-config knows best; without it (or its file) Debian's folders are tried.
LUA_INC := $(shell $(PKG_CONFIG) --cflags $(LUA) 2>/dev/null || \
  echo -I/usr/include/$(LUA_HOME))
LUA_LIB = $(shell $(PKG_CONFIG) --libs $(LUA) 2>/dev/null || echo -l$(LUA))
CURL_INC := $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null)
CURL_LIB := $(shell $(PKG_CONFIG) --libs libcurl 2>/dev/null || echo -lcurl)
# libcrypto first: of all that is looked for when the module is loaded, most is there.
LIBS = -lcrypto $(CURL_LIB) -lwslay -lz

# LPeg's list without -Wc++-compat, which refuses plain C (void * conversions).
WARN = -Wall -Wextra -pedantic -Waggregate-return -Wcast-align -Wcast-qual \
  -Wdisabled-optimization -Wpointer-arith -Wshadow -Wredundant-decls \
  -Wsign-compare -Wundef -Wwrite-strings -Wbad-function-cast \
  -Wdeclaration-after-statement -Wmissing-prototypes -Wmissing-declarations \
  -Wnested-externs -Wstrict-prototypes -Wvla

BUILD = build
ifeq ($(SANITIZE),thread)
BUILD = build/tsan
EXTRA += -fsanitize=thread -fno-omit-frame-pointer -O1
else ifdef SANITIZE
BUILD = build/asan
EXTRA += -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer -O1
endif
ifdef WERROR
EXTRA += -Werror
endif

COMPILE = $(CC) -std=c99 -fPIC -MMD -MP $(CPPFLAGS) $(WARN) $(CFLAGS) $(EXTRA) \
  $(CURL_INC)
SHARED = -shared
ifeq ($(shell uname -s),Darwin)
SHARED = -bundle -undefined dynamic_lookup
endif

# --- files --------------------------------------------------------------------

CORE_OBJ = $(patsubst src/core/%.c,$(BUILD)/core/%.o,$(wildcard src/core/*.c))
TEST_OBJ = $(patsubst src/core/test/%.c,$(BUILD)/core/test/%.o,\
  $(filter-out src/core/test/fuzz_%,$(wildcard src/core/test/*.c)))
LUA_OBJ = $(patsubst src/%.c,$(BUILD)/$(LUA)/%.o,$(wildcard src/lua_*.c))
MODULE = $(BUILD)/$(LUA)/daytona/core.so
CORE_TEST = $(BUILD)/core/test/run

# For a shell; a quote in the folder's name ends the text, is one, begins it again.
HERE := $(subst ','\'',$(CURDIR))
ENV = LUA_PATH='$(HERE)/lua/?.lua;$(HERE)/lua/?/init.lua;;' \
  LUA_CPATH='$(HERE)/$(BUILD)/$(LUA)/?.so;;'

# --- building -----------------------------------------------------------------

.PHONY: all objects core-test fuzz host demo demo-agent test fresh soak storm crowd signals conformance lint site bench bench-net bench-peers interop install uninstall dist rock deb \
  clean help env
.DELETE_ON_ERROR:

all: $(MODULE)

# What is included from elsewhere, asked for once so that a missing header is told
# as what is missing.
HEADERS = $(BUILD)/$(LUA)/headers

$(HEADERS):
	@mkdir -p $(@D)
	@for header in lua.h curl/curl.h wslay/wslay.h openssl/evp.h zlib.h; do \
	  echo "#include <$$header>" | $(CC) $(CPPFLAGS) $(CURL_INC) $(LUA_INC) -E -x c - >/dev/null 2>&1 || \
	  { echo "make: no <$$header>: the headers of $(LUA), libcurl, wslay, OpenSSL and zlib are needed;" \
	    "on Debian and Ubuntu scripts/setup build installs them" >&2; exit 1; }; \
	done
	@touch $@

objects: $(CORE_OBJ) $(LUA_OBJ)

$(MODULE): $(CORE_OBJ) $(LUA_OBJ)
	@mkdir -p $(@D)
	$(CC) $(SHARED) $(CFLAGS) $(EXTRA) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/core/%.o: src/core/%.c | $(HEADERS)
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(BUILD)/$(LUA)/%.o: src/%.c | $(HEADERS)
	@mkdir -p $(@D)
	$(COMPILE) $(LUA_INC) -c -o $@ $<

# Every src/core/test/*.c (but the fuzz_ ones, see `make fuzz`) is linked with the engine into this one program. It
# says what failed, ends with the line "N passed, N failed" and exits with 1 if
# anything did.
$(CORE_TEST): $(CORE_OBJ) $(TEST_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(EXTRA) $(LDFLAGS) -o $@ $^ $(LIBS) -pthread

core-test: $(CORE_TEST)
	$(CORE_TEST)

# src/core/test/fuzz_*.c, each built by clang and run for FUZZ_SECONDS on what stands
# in src/core/test/corpus under its name. What is found stays in build/fuzz.
FUZZ_SECONDS = 30
FUZZ = $(patsubst src/core/test/%.c,build/fuzz/%,\
  $(wildcard src/core/test/fuzz_*.c))
FUZZ_BUILD = clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined \
  -fno-sanitize-recover=undefined $(CURL_INC) -o $@ $(filter %.c,$^)

build/fuzz/fuzz_%: src/core/test/fuzz_%.c $(wildcard src/core/*.[ch])
	@mkdir -p $@.corpus
	$(FUZZ_BUILD) $(LIBS) -pthread

# This one checks the binding, against cjson.
build/fuzz/fuzz_lua: src/core/test/fuzz_lua.c $(wildcard src/core/*.[ch] src/*.[ch])
	@mkdir -p $@.corpus
	$(FUZZ_BUILD) $(LUA_INC) $(LIBS) $(LUA_LIB) -pthread

fuzz:
	@scripts/setup build fuzz
	@$(MAKE) --no-print-directory -s $(FUZZ)
	@for f in $(FUZZ); do n=$${f##*/}; \
	  (cd build/fuzz && ./$$n -verbosity=0 -max_len=2000 -print_final_stats=1 \
	    -max_total_time=$(FUZZ_SECONDS) $$n.corpus ../../src/core/test/corpus/$$n \
	    2>$$n.log) || { tail -40 build/fuzz/$$n.log; exit 1; }; \
	  echo "$$n: nothing found in $(FUZZ_SECONDS) s," \
	    "$$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$$n.log) executions"; \
	done

# A Lua linked with the sanitizers; what for stands in the file.
host: $(BUILD)/$(LUA)/host

$(BUILD)/$(LUA)/host: spec/support/host.c
	@mkdir -p $(@D)
	$(COMPILE) $(LUA_INC) $(LDFLAGS) -o $@ $< -rdynamic $(LUA_LIB)

-include $(wildcard $(BUILD)/core/*.d $(BUILD)/core/test/*.d \
  $(BUILD)/$(LUA)/*.d)

# --- using --------------------------------------------------------------------

demo:
	@scripts/setup build demo
	@$(MAKE) --no-print-directory -s LUA=$(LUA) all
	@env -u DAYTONA_API_KEY -u DAYTONA_JWT_TOKEN $(ENV) $(LUA) examples/quickstart.lua

# TASK="what to do", for a model that has a key.
demo-agent:
	@scripts/setup build demo
	@$(MAKE) --no-print-directory -s LUA=$(LUA) all
	@$(ENV) LUA=$(LUA) scripts/demo-agent $(TASK)

# ALSO=interop adds that part.
test:
	@scripts/setup build demo test
	@scripts/test $(if $(ALSO),--also $(ALSO))

# In a bare system of that release: as root, with debootstrap.
RELEASE = bookworm
fresh:
	@scripts/fresh-machine $(RELEASE)

lint:
	@scripts/lint

# The documents as a static site, in build/site.
site:
	@scripts/setup site
	@scripts/site

soak:
	@scripts/setup build demo test
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@scripts/soak

# Sandboxes made, used and deleted in a storm of faults and kills; TASKS, SEED.
TASKS = 200
storm:
	@scripts/setup build demo test
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(ENV) scripts/storm $(TASKS) $(SEED)

# Many processes that share one limit, and that come back after the server was away.
PROCESSES = 200
crowd:
	@scripts/setup build demo test
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(ENV) scripts/crowd $(PROCESSES)

# Programs ended by signals and exits, and what they leave; RUNS, TWICE (with two Ctrl-C), SEED.
RUNS = 8
TWICE = 25
signals:
	@scripts/setup build demo
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@$(ENV) scripts/signals lua5.4 $(RUNS) $(TWICE) $(SEED)
	@$(ENV) scripts/signals luajit $(RUNS) $(TWICE) $(SEED)

# Recorded facts of the service against the local server in both flavours, or against
# URL (an API's base) with KEY; FLAVOUR=legacy for an old service.
conformance:
	@scripts/setup build demo test
	@$(MAKE) --no-print-directory -s LUA=$(LUA) all
	@LUA_PATH='./?.lua;$(HERE)/lua/?.lua;$(HERE)/lua/?/init.lua;;' \
	  LUA_CPATH='$(HERE)/$(BUILD)/$(LUA)/?.so;;' $(LUA) spec/conformance/main.lua \
	  $(if $(FLAVOUR),--flavour $(FLAVOUR)) $(if $(URL),'$(URL)' '$(KEY)')

# WRITE=1 puts the table into bench/README.md; ROUNDS=1 is a short look; PART=exec is one part.
bench:
	@scripts/setup build demo bench
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@lua5.4 bench/run.lua $(if $(WRITE),--write) $(or $(ROUNDS),5) $(PART)

# Over lines of 20, 100 and 200 ms.
bench-net:
	@scripts/setup build demo bench
	@$(MAKE) --no-print-directory -s LUA=lua5.4 all
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@lua5.4 bench/net.lua $(if $(WRITE),--write) $(ROUNDS)

bench-peers:
	@scripts/setup bench
	@bench/peers/install

interop:
	@scripts/setup build demo interop
	@$(MAKE) --no-print-directory -s all
	@$(MAKE) --no-print-directory -s LUA=luajit all
	@interop/run

# Puts the module where $(LUA) looks for it. LuaRocks sets the INST_ variables.
PLACES = '$(LUA_V)' '$(INST_LIBDIR)' '$(INST_LUADIR)' '$(INST_BINDIR)'

install: all
	@DESTDIR='$(DESTDIR)' scripts/install '$(MODULE)' $(PLACES)

uninstall:
	@DESTDIR='$(DESTDIR)' scripts/install --remove $(PLACES)

# What others build of: a source archive of what is committed, that needs no git,
# the rock of it, and Debian's packages.
VERSION := $(shell sed -n 's/^  library = "\(.*\)",$$/\1/p' lua/daytona/version.lua)
DIST = build/dist/daytona-$(VERSION)

dist:
	@mkdir -p build/dist
	@git archive --prefix=daytona-$(VERSION)/ -o $(DIST).tar.gz HEAD
	@echo $(DIST).tar.gz

rock: dist
	@scripts/rockspec $(VERSION) 'file://$(CURDIR)/$(DIST).tar.gz' >$(DIST)-1.rockspec
	@cd build/dist && luarocks pack daytona-$(VERSION)-1.rockspec

deb:
	@dpkg-buildpackage -b -us -uc

clean: # also what `luarocks make` leaves in a checkout
	rm -rf build
	rm -f src/*.o src/core/*.o daytona/core.so
	if [ -d daytona ]; then rmdir daytona; fi

# For a shell: eval "$(make -s env)"
env:
	@printf '%s\n' "export LUA_PATH='$(HERE)/lua/?.lua;$(HERE)/lua/?/init.lua;;'"
	@printf '%s\n' "export LUA_CPATH='$(HERE)/$(BUILD)/$(LUA)/?.so;;'"

help:
	@echo 'make               build the C module for Lua 5.4 (LUA=luajit, lua5.1, ...)'
	@echo 'make demo          a first sandbox, on the local server; no account needed'
	@echo 'make demo-agent    an agent in a sandbox; without a key a scripted model'
	@echo 'make test          everything that is checked, on every Lua'
	@echo 'make fresh         both commands of the README in a bare Debian (RELEASE=trixie, ...)'
	@echo 'make soak          thousands of operations in every host; some minutes'
	@echo 'make storm         sandboxes in a storm of faults and kills: none lost, none doubled, none left'
	@echo 'make crowd         200 processes that share one limit; and the server goes away and comes back'
	@echo 'make signals       programs ended by signals and exits, and the sandboxes that they leave'
	@echo 'make conformance   recorded facts of the service against the local server, or URL= KEY='
	@echo 'make lint          luacheck, and the C code with warnings as errors'
	@echo 'make site          the documents as a static site in build/site'
	@echo 'make core-test     the C unit tests of the engine alone'
	@echo 'make fuzz          feeds noise to the parsers, for FUZZ_SECONDS each'
	@echo 'make bench         benchmarks; bench-peers installs what to compare with'
	@echo 'make bench-net     the same over lines with a round-trip time'
	@echo 'make interop       the official TypeScript and Python SDKs and MCP clients against what is here'
	@echo 'make install       into PREFIX (/usr/local), for LUA; DESTDIR is honoured'
	@echo 'make uninstall     takes away what make install put there'
	@echo 'make dist          a source archive in build/dist; rock and deb: of LuaRocks and Debian'
	@echo 'make env           prints LUA_PATH and LUA_CPATH of this checkout'
	@echo 'make clean         remove what was built'
	@echo
	@echo 'SANITIZE=1 builds into build/asan with ASan and UBSan,'
	@echo 'SANITIZE=thread into build/tsan with TSan.'
