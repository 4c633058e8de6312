import torch
from fgbg_zoo_seigan.pool import FakePool


def test_gives_pictures_back_until_it_is_full() -> None:
    pool = FakePool(4)
    fakes = torch.rand(4, 3, 2, 2)
    assert torch.equal(pool.query(fakes), fakes)
    assert len(pool.stored) == 4


def test_trades_about_half_once_full() -> None:
    torch.manual_seed(0)
    pool = FakePool(50)
    pool.query(torch.zeros(50, 1, 1, 1))
    new = torch.ones(1000, 1, 1, 1)
    returned = torch.cat([pool.query(new[i : i + 1]) for i in range(50)])
    old = int((returned == 0).sum())
    assert 15 <= old <= 35


def test_keeps_no_graph_and_no_alias() -> None:
    pool = FakePool(2)
    fakes = torch.rand(2, 1, 2, 2, requires_grad=True)
    out = pool.query(fakes * 2)
    assert not out.requires_grad
    assert all(not stored.requires_grad for stored in pool.stored)
    out.zero_()
    assert all(stored.abs().sum() > 0 for stored in pool.stored)


def test_size_zero_keeps_nothing() -> None:
    pool = FakePool(0)
    fakes = torch.rand(3, 1, 2, 2)
    assert torch.equal(pool.query(fakes), fakes)
    assert pool.stored == []


def test_state_round_trip() -> None:
    pool, other = FakePool(3), FakePool(3)
    pool.query(torch.rand(5, 1, 2, 2))
    other.load_state_dict(pool.state_dict())
    assert torch.equal(torch.stack(pool.stored), torch.stack(other.stored))
    empty = FakePool(3)
    other.load_state_dict(empty.state_dict())
    assert other.stored == []
