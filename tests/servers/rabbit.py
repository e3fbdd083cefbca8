"""A RabbitMQ server of the tests' own."""
