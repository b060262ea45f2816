"""A method of both clients, written once as what builds its request."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import overload

from webhook.client.request import Request
from webhook.client.results import Page


class Caller(ABC):
    """A client that blocks."""

    @abstractmethod
    def call[T](self, request: Request[T]) -> T:
        """Return the result of a request."""


class AsyncCaller(ABC):
    """A client in an event loop."""

    @abstractmethod
    async def call[T](self, request: Request[T]) -> T:
        """Return the result of a request."""


class Pages[T]:
    """The items of a list, page by page as they are needed."""

    def __init__(self, client: Caller, first: Request[Page[T]]) -> None:
        self._client, self._first = client, first

    def page(self) -> Page[T]:
        """Return the first page alone."""
        return self._client.call(self._first)

    def pages(self) -> Iterator[Page[T]]:
        """Return the pages."""
        request = self._first
        while True:
            page = self._client.call(request)
            yield page
            if page.next_cursor is None:
                return
            request = self._first.next_page(page.next_cursor)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data


class AsyncPages[T]:
    """As ``Pages``, for ``async for``."""

    def __init__(self, client: AsyncCaller, first: Request[Page[T]]) -> None:
        self._client, self._first = client, first

    async def page(self) -> Page[T]:
        """Return the first page alone."""
        return await self._client.call(self._first)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Return the pages."""
        request = self._first
        while True:
            page = await self._client.call(request)
            yield page
            if page.next_cursor is None:
                return
            request = self._first.next_page(page.next_cursor)

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.data:
                yield item


class Operation[**P, T]:
    """Makes a method of a function that builds a request; of the class it is that function."""

    def __init__(self, build: Callable[P, Request[T]]) -> None:
        self._build = build

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Request[T]]: ...

    @overload
    def __get__(self, client: Caller, owner: type) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: AsyncCaller, owner: type) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, client: Caller | AsyncCaller | None, owner: type) -> Callable[P, object]:
        """Bind it to a client."""
        if client is None:
            return self._build

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> object:
            return client.call(self._build(*args, **kwargs))

        return method


class Listing[**P, T]:
    """As ``Operation``, for a list, of which the result is ``Pages`` or ``AsyncPages``."""

    def __init__(self, build: Callable[P, Request[Page[T]]]) -> None:
        self._build = build

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Request[Page[T]]]: ...

    @overload
    def __get__(self, client: Caller, owner: type) -> Callable[P, Pages[T]]: ...

    @overload
    def __get__(self, client: AsyncCaller, owner: type) -> Callable[P, AsyncPages[T]]: ...

    def __get__(self, client: Caller | AsyncCaller | None, owner: type) -> Callable[P, object]:
        """Bind it to a client."""
        if client is None:
            return self._build

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> object:
            first = self._build(*args, **kwargs)
            return Pages(client, first) if isinstance(client, Caller) else AsyncPages(client, first)

        return method
