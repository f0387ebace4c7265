// What the platform has beside sandboxes: snapshots of built images, volumes, secrets, warm pools,
// a VM's pause and fork, and the events that the SDK waits by.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Daytona, DaytonaNotFoundError, Image } from '@daytona/sdk'
import { step, until } from './steps.js'

const unique = (word) => `ts-${word}-${randomBytes(4).toString('hex')}`

async function snapshots(client) {
  const name = unique('snapshot')
  const image = Image.base('debian:12').runCommands('echo built').env({ COLOUR: 'blue' }).workdir('/srv')
  await step('a snapshot of an image that is described, with its log', async () => {
    const lines = []
    const made = await client.snapshot.create({ name, image }, { onLogs: (chunk) => lines.push(chunk) })
    assert.deepEqual([made.name, made.state], [name, 'active'])
    assert.ok(lines.length > 0, 'no log of the build')
    assert.ok((await client.snapshot.list()).items.some((one) => one.name === name))
    const box = await client.create({ snapshot: name })
    assert.equal(box.snapshot, name)
    await box.delete()
  })

  await step('a warm pool of it, made larger, and gone', async () => {
    const pool = await client.warmPool.create({ snapshot: name, pool: 1 })
    assert.equal((await client.warmPool.update(pool.id, { pool: 2 })).pool, 2)
    assert.ok((await client.warmPool.list()).some((one) => one.id === pool.id))
    await client.warmPool.delete(pool.id)
    assert.ok(!(await client.warmPool.list()).some((one) => one.id === pool.id))
  })

  await step('a snapshot is taken away', async () => {
    await client.snapshot.delete(await client.snapshot.get(name))
    await until(async () => !(await client.snapshot.list()).items.some((one) => one.name === name), 'the list without it')
    await assert.rejects(client.snapshot.get(name), DaytonaNotFoundError)
  })
}

async function volumes(client) {
  await step('a volume that two sandboxes share', async () => {
    const volume = await client.volume.get(unique('volume'), true)
    await until(async () => (await client.volume.get(volume.name)).state === 'ready', 'the volume')
    const mounted = { volumes: [{ volumeId: volume.id, mountPath: '/home/daytona/shared' }] }
    const [one, two] = [await client.create(mounted), await client.create(mounted)]
    await one.process.executeCommand('echo shared >/home/daytona/shared/file')
    assert.equal((await two.process.executeCommand('cat /home/daytona/shared/file')).result, 'shared\n')
    await one.delete()
    await two.delete()
    await until(async () => {
      try {
        await client.volume.delete(await client.volume.get(volume.name))
        return true
      } catch (e) {
        if (!/in use/i.test(e.message)) throw e
      }
    }, 'the volume, in use no more')
  })
}

async function secrets(client) {
  await step('a secret: never shown again, changed, given to a sandbox, gone', async () => {
    const secret = await client.secret.create({ name: unique('secret'), value: 'hidden-1', hosts: ['example.com'] })
    assert.ok(!JSON.stringify(secret).includes('hidden-1'))
    await client.secret.update(secret.id, { value: 'hidden-2', description: 'changed' })
    assert.equal((await client.secret.get(secret.id)).description, 'changed')
    assert.ok((await client.secret.list()).items.some((one) => one.name === secret.name))
    const box = await client.create({ secrets: { TOKEN: secret.name } })
    const seen = (await box.process.executeCommand('echo "$TOKEN"')).result
    assert.ok(seen !== '\n' && !seen.includes('hidden'), seen)
    await box.delete()
    await client.secret.delete(secret.id)
  })
}

async function settings(client) {
  await step('labels, intervals and a time to live', async () => {
    const box = await client.create({ labels: { a: '1' } })
    await box.setLabels({ b: '2' })
    await box.setAutostopInterval(7)
    await box.setTtl(30)
    await box.refreshData()
    assert.equal(box.labels.b, '2')
    assert.equal(box.autoStopInterval, 7)
    await box.delete()
  })
}

async function events() {
  await step('what it waits for is told by events', async () => {
    const listening = new Daytona({ useDeprecatedPolling: false })
    const box = await listening.create()
    await box.stop()
    assert.equal(box.state, 'stopped')
    await box.start()
    assert.equal(box.state, 'started')
    const stats = await fetch(`${process.env.DAYTONA_API_URL}/__devserver/stats`, {
      headers: { authorization: `Bearer ${process.env.DAYTONA_API_KEY}` },
    }).then((answer) => answer.json())
    assert.ok(stats.websockets > 0, 'nobody listens')
    await box.delete()
    await listening[Symbol.asyncDispose]()
  })
}

export default async function plane(_, client) {
  await snapshots(client)
  await volumes(client)
  await secrets(client)
  await settings(client)
  await events()
}
