import pytest

from sagan.training.processes import Process, current_process

TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "1234567",
}


def test_without_a_launcher_there_is_one_process():
    environment = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "RANK": "1"}
    before = dict(environment)
    assert current_process(environment) == Process(0, 0, 1, 1)
    assert environment == before


def test_torchrun():
    assert current_process(dict(TORCHRUN)) == Process(rank=5, local_rank=1, world_size=8, local_world_size=4)


def test_set_by_hand_all_are_on_one_machine():
    environment = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    assert current_process(environment) == Process(1, 1, 2, 2)
    assert (environment["LOCAL_RANK"], environment["LOCAL_WORLD_SIZE"]) == ("1", "2")


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu[07-08]", "gpu07"),
        ("gpu[3,9]", "gpu3"),
        ("gpu[12]", "gpu12"),
        ("a1,b2", "a1"),
        ("rack[1-2]node[03-04,9],x", "rack1node03"),
        ("host-1.lan,host-2.lan", "host-1.lan"),
    ],
)
def test_slurm_steps_meet_on_their_first_node(nodes, first):
    environment = SLURM | {"SLURM_STEP_NODELIST": nodes}
    assert current_process(environment) == Process(rank=5, local_rank=1, world_size=8, local_world_size=4)
    assert environment["MASTER_ADDR"] == first
    assert environment["MASTER_PORT"] == "19567"  # 15,000 + the last four digits of the job's number
    assert environment["GROUP_RANK"] == "1"


def test_slurm_leaves_an_address_that_is_set():
    environment = SLURM | {"MASTER_ADDR": "head", "MASTER_PORT": "7"}
    current_process(environment)
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("head", "7")


def test_torchrun_inside_of_slurm_is_torchrun():
    assert current_process(SLURM | TORCHRUN | {"RANK": "2", "LOCAL_RANK": "2"}) == Process(2, 2, 8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": "8"}, "do not fit together"),
        ({"LOCAL_RANK": "4"}, "do not fit together"),
        ({"LOCAL_WORLD_SIZE": "3"}, "the same number of processes on each machine"),
        ({"WORLD_SIZE": "two"}, "environment variable WORLD_SIZE must be a number, found 'two'"),
        ({"MASTER_PORT": ""}, "do not say where process 0 listens"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        current_process(TORCHRUN | change)


def test_slurm_nodes_with_different_numbers_of_tasks_are_refused():
    with pytest.raises(ValueError, match="SLURM runs 7 tasks on 2 nodes"):
        current_process(SLURM | {"SLURM_STEP_NUM_TASKS": "7"})
