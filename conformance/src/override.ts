/**
 * `target` with some of its members replaced; all others work on `target` itself, private fields included. What the
 * shim and the mutants are made of.
 */
export function override<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get(inner, name) {
      if (Object.hasOwn(changes, name)) return Reflect.get(changes, name) as unknown
      const member: unknown = Reflect.get(inner, name, inner)
      return typeof member === 'function' ? (member.bind(inner) as unknown) : member
    },
  })
}
