/** An error as the service answers it: the name of its type, which clients map to a class, and its text. */
export class ServiceError extends Error {
  override readonly name: string
  /** HTTP status: 400 for what the caller did, 500 for what the service did. */
  readonly status: number

  constructor(type: string, message: string, status = 400) {
    super(message)
    this.name = type
    this.status = status
  }
}

export function invalidArgument(message: string): ServiceError {
  return new ServiceError('InvalidArgumentException', message)
}

export function notFound(message: string): ServiceError {
  return new ServiceError('ResourceNotFoundException', message)
}

export function inUse(message: string): ServiceError {
  return new ServiceError('ResourceInUseException', message)
}

export function limitExceeded(message: string): ServiceError {
  return new ServiceError('LimitExceededException', message)
}

export function invalid(message: string): ServiceError {
  return new ServiceError('ValidationException', message)
}

/** A request that is no request: the wrong JSON, a list where a string belongs. */
export function unreadable(message: string): ServiceError {
  return new ServiceError('SerializationException', message)
}
