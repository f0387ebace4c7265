// Counts and prints what the SDK could do. Knows nothing of the SDK.
let passed = 0
let failed = 0
let skipped = 0

// Runs `fn`; what it throws is printed, counted and goes no further.
export async function step(name, fn) {
  let timer
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('not done after 60 seconds')), 60000)
    })
    await Promise.race([fn(), late])
    passed++
    console.log(`ok      ${name}`)
  } catch (e) {
    failed++
    console.log(`failed  ${name}\n${e?.stack ?? e}`.replaceAll('\n', '\n        '))
  } finally {
    clearTimeout(timer)
  }
}

export function skip(name, why) {
  skipped++
  console.log(`skipped ${name}: ${why}`)
}

// Waits until `condition()` is true, 10 seconds at most.
export async function until(condition, what) {
  for (const limit = Date.now() + 10000; !(await condition());) {
    if (Date.now() > limit) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// Prints the last line; true if nothing failed.
export function summary() {
  console.log(`${passed} passed, ${failed} failed` + (skipped ? `, ${skipped} skipped` : ''))
  return failed === 0
}
