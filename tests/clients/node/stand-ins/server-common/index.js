// Thrown by the SDK when the object store answers 2xx but not 200.
exports.BadHttpResponseError = class BadHttpResponseError extends Error {
  constructor(status, body) {
    super(`status ${status}: ${JSON.stringify(body)}`);
    this.name = 'badHttpResponse';
  }
};
