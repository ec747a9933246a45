/** Programs for the kernel by the system's libbpf 1: an object is loaded, attached, and gone when it is disposed of. */
import { errnoName } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import { bindFrom, lastErrno } from "./ffi.ts"

const lib = bindFrom("libbpf.so.1")

export const hasLibbpf = lib !== undefined

type Pointer = unknown

function bound() {
  if (lib === undefined) return undefined
  return {
    open: lib<[path: string, options: null], Pointer>(
      "void* bpf_object__open_file(const char*, const void*)",
    ),
    load: lib<[object: Pointer]>("int bpf_object__load(void*)"),
    close: lib<[object: Pointer], undefined>("void bpf_object__close(void*)"),
    program: lib<[object: Pointer, name: string], Pointer>(
      "void* bpf_object__find_program_by_name(void*, const char*)",
    ),
    setAutoload: lib<[program: Pointer, isLoaded: boolean]>("int bpf_program__set_autoload(void*, bool)"),
    attach: lib<[program: Pointer], Pointer>("void* bpf_program__attach(void*)"),
    attachToGroup: lib<[program: Pointer, group: number], Pointer>(
      "void* bpf_program__attach_cgroup(void*, int)",
    ),
    programFd: lib<[program: Pointer]>("int bpf_program__fd(const void*)"),
    attachXdp: lib<[index: number, fd: number, flags: number, options: null]>(
      "int bpf_xdp_attach(int, int, uint32_t, const void*)",
    ),
    destroy: lib<[link: Pointer]>("int bpf_link__destroy(void*)"),
    map: lib<[object: Pointer, name: string], Pointer>(
      "void* bpf_object__find_map_by_name(void*, const char*)",
    ),
    setValue: lib<[map: Pointer, value: Buffer, length: number]>(
      "int bpf_map__set_initial_value(void*, const void*, size_t)",
    ),
    setSize: lib<[map: Pointer, entries: number]>("int bpf_map__set_max_entries(void*, uint32_t)"),
    mapFd: lib<[map: Pointer]>("int bpf_map__fd(void*)"),
    update: lib<[fd: number, key: Buffer, value: Buffer, flags: number]>(
      "int bpf_map_update_elem(int, const void*, const void*, uint64_t)",
    ),
    lookup: lib<[fd: number, key: Buffer, value: Buffer]>("int bpf_map_lookup_elem(int, const void*, void*)"),
    remove: lib<[fd: number, key: Buffer]>("int bpf_map_delete_elem(int, const void*)"),
    cpus: lib<[]>("int libbpf_num_possible_cpus()"),
    setPrint: lib<[print: null], Pointer>("void* libbpf_set_print(void*)"),
  }
}

const calls = bound()
// What it prints goes past the log; failures come as numbers too.
calls?.setPrint(null)

const ENOENT = 2
/** linux/if_link.h: never in another one's place, and by the kernel's general way, which every device has. */
const XDP_ONLY_NEW = 1
const XDP_GENERAL = 2

function library(): NonNullable<typeof calls> {
  if (calls !== undefined) return calls
  throw new Fault("unsupported", "libbpf is not installed", { hint: "apt-get install libbpf1" })
}

function refused(what: string, errno: number): Fault {
  return new Fault("unsupported", `${what}: ${errnoName(errno)}`)
}

/** Maps of each CPU's values have so many of them. */
export function possibleCpus(): number {
  return library().cpus()
}

export interface LoadOptions {
  /** Programs of the object that are not loaded. */
  readonly without: readonly string[]
  /** Constants of a section `.rodata.…`, by its name. */
  readonly constants: Readonly<Record<string, Buffer>>
  /** Sizes other than the object's own, by map: entries, or bytes of a ring. */
  readonly sizes: Readonly<Record<string, number>>
}

/** A loaded object: its programs, which run as long as they are attached and this process lives, and its maps. */
export class BpfObject implements Disposable {
  readonly #object: Pointer
  readonly #links = new Map<string, Pointer>()
  #isOpen = true

  /** Throws `Fault("unsupported")` with the kernel's errno where the kernel does not take it: no rights, or a lacking hook. */
  constructor(path: string, { without, constants, sizes }: LoadOptions) {
    const lib = library()
    const object = lib.open(path, null)
    if (object === null) throw refused(`${path} can't be opened`, lastErrno())
    this.#object = object
    try {
      for (const name of without) lib.setAutoload(this.#program(name), false)
      for (const [name, value] of Object.entries(constants))
        require0(`constants ${name}`, lib.setValue(this.#map(name), value, value.length))
      for (const [name, size] of Object.entries(sizes))
        require0(`size of ${name}`, lib.setSize(this.#map(name), size))
      require0("the kernel does not load it", lib.load(this.#object))
    } catch (thrown) {
      lib.close(object)
      throw thrown
    }
  }

  #program(name: string): Pointer {
    const program = library().program(this.#object, name)
    if (program === null) throw new Fault("bug", `the object has no program "${name}"`)
    return program
  }

  #map(name: string): Pointer {
    const map = library().map(this.#object, name)
    if (map === null) throw new Fault("bug", `the object has no map "${name}"`)
    return map
  }

  /** The program runs from now on. */
  attach(name: string): void {
    const link = library().attach(this.#program(name))
    if (link === null) throw refused(`${name} can't be attached`, lastErrno())
    this.#links.set(name, link)
  }

  /** It does not run any more; nothing when it was not attached. */
  detach(name: string): void {
    const link = this.#links.get(name)
    if (link === undefined) return
    this.#links.delete(name)
    library().destroy(link)
  }

  isAttached(name: string): boolean {
    return this.#links.has(name)
  }

  /** The program decides from now on what arrives at an interface of this thread's network namespace, as long as that is there. */
  attachToInterface(name: string, index: number): void {
    const lib = library()
    const flags = XDP_ONLY_NEW | XDP_GENERAL
    require0(`${name} at an interface`, lib.attachXdp(index, lib.programFd(this.#program(name)), flags, null))
  }

  /** The program decides for the processes in a control group of version 2, until what is returned is disposed of. */
  attachToGroup(name: string, directory: number): Disposable {
    const link = library().attachToGroup(this.#program(name), directory)
    if (link === null) throw refused(`${name} can't be attached to a control group`, lastErrno())
    return { [Symbol.dispose]: () => void library().destroy(link) }
  }

  map(name: string): BpfMap {
    return new BpfMap(library().mapFd(this.#map(name)))
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const name of [...this.#links.keys()]) this.detach(name)
    library().close(this.#object)
  }
}

/** A map of a loaded object, as long as that lives. Keys and values are as the program has them, little-endian. */
export class BpfMap {
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  set(key: Buffer, value: Buffer): void {
    require0("bpf_map_update_elem", library().update(this.fd, key, value, 0))
  }

  /** Into `value`, which must be as long as the map's values, times the CPUs for a map of each CPU's. */
  get(key: Buffer, value: Buffer): boolean {
    const rc = library().lookup(this.fd, key, value)
    if (rc === -ENOENT) return false
    require0("bpf_map_lookup_elem", rc)
    return true
  }

  /** False when there was none. */
  delete(key: Buffer): boolean {
    const rc = library().remove(this.fd, key)
    if (rc === -ENOENT) return false
    require0("bpf_map_delete_elem", rc)
    return true
  }
}

/** A key or value of four bytes, as this machine's programs have it. */
export function bytes32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** ... of eight. */
export function bytes64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

/** libbpf 1 returns a negative errno. */
function require0(what: string, rc: number): void {
  if (rc < 0) throw refused(what, -rc)
}
