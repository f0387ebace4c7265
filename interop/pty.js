// Terminals.
import assert from 'node:assert/strict'
import { step, until } from './steps.js'

export default async function (sandbox) {
  const process = sandbox.process
  let text = ''
  const onData = (data) => { text += Buffer.from(data).toString() }
  let pty

  await step('open a terminal of a size, with folder and variables', async () => {
    pty = await process.createPty({ id: 'term', cwd: '/tmp', envs: { NAME: 'ada' }, cols: 100, rows: 30, onData })
    assert.ok(pty.isConnected())
    await pty.sendInput('echo "$NAME:$PWD:$(stty size):$((40 + 2))"\n')
    await until(() => text.includes('ada:/tmp:30 100:42'), 'the answer')
  })
  if (!pty) return

  await step('list terminals and look at one', async () => {
    assert.deepEqual((await process.listPtySessions()).map((p) => p.id), ['term'])
    const info = await process.getPtySessionInfo('term')
    assert.deepEqual([info.cols, info.rows, info.active, info.cwd], [100, 30, true, '/tmp'])
    await assert.rejects(process.getPtySessionInfo('none'), (e) => e.statusCode === 404)
  })

  await step('change its size', async () => {
    const info = await pty.resize(132, 43)
    assert.deepEqual([info.cols, info.rows], [132, 43])
    await pty.sendInput('stty size\n')
    await until(() => text.includes('43 132'), 'the new size')
  })

  await step('interrupt a command by a key', async () => {
    await pty.sendInput('sleep 100; echo "over $((1 + 1))"\n')
    await until(async () => (await process.executeCommand('pgrep -fx "sleep 100"')).exitCode === 0, 'its start')
    await pty.sendInput(Uint8Array.of(3))
    await pty.sendInput('echo "back $((1 + 2))"\n')
    await until(() => text.includes('back 3'), 'the prompt')
  })

  await step('disconnect and come back', async () => {
    await pty.sendInput('KEPT=yes\n')
    await pty.disconnect()
    assert.ok(!pty.isConnected())
    pty = await process.connectPty('term', { onData })
    await pty.waitForConnection()
    await pty.sendInput('echo "kept:$KEPT"\n')
    await until(() => text.includes('kept:yes'), 'what was kept')
  })

  await step('its exit code', async () => {
    await pty.sendInput('exit 7\n')
    assert.equal((await pty.wait()).exitCode, 7)
    await until(async () => (await process.listPtySessions()).length === 0, 'its end')
  })

  await step('kill a terminal', async () => {
    const other = await process.createPty({ id: 'other', onData })
    await assert.rejects(process.createPty({ id: 'other', onData }))
    await other.kill()
    assert.notEqual((await other.wait()).exitCode, 0)
    await until(async () => (await process.listPtySessions()).length === 0, 'its end')
    await assert.rejects(process.killPtySession('other'), (e) => e.statusCode === 404)
  })
}
