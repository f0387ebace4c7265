-- The event stream, as facts (see runner.lua): how it begins, and in which order it tells
-- what becomes of a sandbox, a volume and a snapshot. Recorded on release 0.190.

return {
  { "events", "a wrong key", listen = "wrongkey" },
  { "events", "the key", listen = true },

  { "events", "a sandbox", "POST", "/sandbox", 200, body = '{"name":"{run}told"}', save = "told" },
  { "events", "it starts", wait = "told", states = "creating started" },
  { "events", "it is stopped", "POST", "/sandbox/{told}/stop", 200 },
  { "events", "it stops", wait = "told", states = "stopping stopped" },
  { "events", "it is started", "POST", "/sandbox/{told}/start", 200 },
  { "events", "it starts again", wait = "told", states = "starting started" },
  { "events", "it is deleted", "DELETE", "/sandbox/{told}", 200 },
  { "events", "a sandbox's life", heard = "told", events = [[sandbox.created
    sandbox.state.updated:unknown>creating sandbox.state.updated:creating>started
    sandbox.desired-state.updated:started>stopped
    sandbox.state.updated:started>stopping sandbox.state.updated:stopping>stopped
    sandbox.desired-state.updated:stopped>started
    sandbox.state.updated:stopped>starting sandbox.state.updated:starting>started
    sandbox.desired-state.updated:started>destroyed
    sandbox.state.updated:started>destroying sandbox.state.updated:destroying>destroyed]] },

  { "events", "a volume", "POST", "/volumes", 200, body = '{"name":"{run}told"}', save = "volume" },
  { "events", "it is made", wait = "volume", of = "/volumes/", states = "pending_create creating ready" },
  { "events", "it goes", "DELETE", "/volumes/{volume}", 200 },
  { "events", "a volume's life", heard = "volume", events = [[volume.created
    volume.state.updated:pending_create>creating volume.state.updated:creating>ready
    volume.state.updated:ready>pending_delete
    volume.state.updated:pending_delete>deleting volume.state.updated:deleting>deleted]] },

  { "events", "a snapshot", "POST", "/snapshots", 200, body = '{"name":"{run}told","imageName":"alpine:3.20"}',
    save = "snapshot" },
  { "events", "it is pulled", wait = "snapshot", of = "/snapshots/", states = "pending pulling active" },
  { "events", "it rests", "POST", "/snapshots/{snapshot}/deactivate", 204 },
  { "events", "it is removed", "DELETE", "/snapshots/{snapshot}", 200 },
  { "events", "a snapshot's life", heard = "snapshot", events = [[snapshot.created
    snapshot.state.updated:pending>pulling snapshot.state.updated:pulling>active
    snapshot.state.updated:active>inactive snapshot.state.updated:inactive>removing snapshot.removed]] },
}
