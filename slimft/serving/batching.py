"""Images of several requests, classified together."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from slimft.data.images import read_square
from slimft.data.threads import count_threads
from slimft.errors import DataError


class _Waiting(NamedTuple):
    """An image that waits for the network: when it came, its pixels, and who gets its row."""

    since: float
    square: np.ndarray
    row: asyncio.Future[np.ndarray]


class Batches:
    """Decodes images in threads and has the network classify them, in batches, in a thread of its own.

    A batch begins when it is full, when no other image is being decoded, or `wait` seconds after its first image
    came; while the network has one, the next one gathers. At most two batches of decoded images are in memory. A
    context manager, in a running loop.

    Args:
        probabilities: uint8 ``[batch, image_size, image_size, 3]`` to float32 ``[batch, classes]``.
        image_size: height and width of what the network gets, in pixels.
        batch_size: images at a time, at most.
        wait: seconds.
        crop, grey_bits: as of `slimft.data.images.read_square`.
        told: is told of each batch how many images it had, and the seconds it took.
    """

    def __init__(
        self,
        probabilities: Callable[[np.ndarray], np.ndarray],
        image_size: int,
        batch_size: int,
        wait: float,
        crop: float = 1.0,
        grey_bits: int | None = None,
        told: Callable[[int, float], None] = lambda images, seconds: None,
    ):
        self._probabilities, self._image_size = probabilities, image_size
        self._batch_size, self._wait, self._told = batch_size, wait, told
        self._crop, self._grey_bits = crop, grey_bits

    async def __aenter__(self) -> Batches:
        self._readers = concurrent.futures.ThreadPoolExecutor(count_threads(), "serve-read")
        self._network = concurrent.futures.ThreadPoolExecutor(1, "serve-network")
        self._room = asyncio.Semaphore(2 * self._batch_size)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._decoding = 0
        self._task = asyncio.create_task(self._classify_all())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        for threads in (self._readers, self._network):
            threads.shutdown(cancel_futures=True)

    async def in_thread(self, work: Callable, *arguments: object) -> Any:
        """Runs `work` in one of the threads that decode."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *arguments)

    async def row(self, image: bytes) -> np.ndarray | DataError:
        """Classifies an encoded image.

        Returns:
            float32 ``[classes]``, the probabilities; or why it cannot be read.

        Raises:
            Exception: what `probabilities` raises, of the batch that the image was in.
        """
        async with self._room:
            self._decoding += 1
            try:
                square = await self.in_thread(self._read, image)
            except DataError as error:
                return error
            finally:
                self._decoding -= 1
            loop = asyncio.get_running_loop()
            waiting = _Waiting(loop.time(), square, loop.create_future())
            self._queue.put_nowait(waiting)
            return await waiting.row

    def _read(self, image: bytes) -> np.ndarray:
        return read_square(io.BytesIO(image), self._image_size, self._crop, grey_bits=self._grey_bits)

    async def _classify_all(self) -> None:
        while True:
            batch = await self._gathered()
            try:
                await self._classify(batch)
            except Exception as error:  # Who waits for it says so; the next batch may do better.
                for one in batch:
                    if not one.row.done():
                        one.row.set_exception(error)

    async def _gathered(self) -> list[_Waiting]:
        """The next batch."""
        batch = [await self._queue.get()]
        loop = asyncio.get_running_loop()
        end = batch[0].since + self._wait
        while len(batch) < self._batch_size:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
                continue
            if not self._decoding:
                break
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), end - loop.time()))
            except asyncio.TimeoutError:
                break
        return batch

    async def _classify(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        squares, began = np.stack([one.square for one in batch]), loop.time()
        rows = await loop.run_in_executor(self._network, self._probabilities, squares)
        self._told(len(batch), loop.time() - began)
        for one, row in zip(batch, rows):
            if not one.row.done():  # Who waited may have been cancelled.
                one.row.set_result(row)
